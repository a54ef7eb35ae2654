//! Reads `repositories` and `packages`.
//!
//! Repositories of RPM packages have no suites or components, and which key signs the packages has to be said.

use std::path::PathBuf;

use super::identity_names::is_package_name;
use crate::distribution::{Distribution, PackageKind, Release};
use crate::node::{Node, NodeKind};
use crate::problem::{Problems, RecipeError};
use crate::recipe::{Base, Packages, Repository};
use crate::section::{Section, Text, text};

/// Schemes packages can be fetched by.
const SCHEMES: [&str; 3] = ["https://", "http://", "file:///"];

const BASES: [(&str, Base); 5] = [
    ("essential", Base::Essential),
    ("apt", Base::Apt),
    ("required", Base::Required),
    ("important", Base::Important),
    ("standard", Base::Standard),
];

pub(super) fn repositories(
    section: &mut Section<'_>,
    release: Option<Release>,
    problems: &mut Problems,
) -> Vec<Repository> {
    let is_rpm = release.is_some_and(|release| release.packages() == PackageKind::Rpm);
    if is_rpm && section.require("repositories", problems).is_none() {
        return Vec::new();
    }
    section
        .list("repositories", problems)
        .iter()
        .filter_map(|node| {
            if is_rpm {
                rpm_repository(node, problems)
            } else {
                repository(node, release, problems)
            }
        })
        .collect()
}

fn rpm_repository(node: &Node, problems: &mut Problems) -> Option<Repository> {
    let mut section = Section::open(node, "repositories", problems)?;
    let mirrors = mirrors(&mut section, problems);
    let keyring = section.required_text("keyring", problems);
    let place = section.place();
    section.finish(problems);
    Some(Repository {
        mirrors,
        suites: Vec::new(),
        components: Vec::new(),
        keyring: PathBuf::from(keyring?.value),
        place,
    })
}

fn repository(
    node: &Node,
    release: Option<Release>,
    problems: &mut Problems,
) -> Option<Repository> {
    let mut section = Section::open(node, "repositories", problems)?;
    let mirrors = mirrors(&mut section, problems);
    let suites = values(section.texts("suites", problems));
    let components = values(section.texts("components", problems));
    let keyring = section.text("keyring", problems);
    let place = section.place();
    section.finish(problems);
    let distribution = release.map_or(Distribution::Debian, Release::distribution);
    Some(Repository {
        mirrors,
        suites: if suites.is_empty() {
            vec![release?.code_name().to_owned()]
        } else {
            suites
        },
        components: if components.is_empty() {
            let defaults = distribution.components().iter();
            defaults.map(|name| (*name).to_owned()).collect()
        } else {
            components
        },
        keyring: keyring.map_or_else(
            || distribution.keyring().unwrap_or_default().into(),
            |text| PathBuf::from(text.value),
        ),
        place,
    })
}

/// `mirror` is one address or a list of them.
fn mirrors(section: &mut Section<'_>, problems: &mut Problems) -> Vec<String> {
    let Some(node) = section.require("mirror", problems) else {
        return Vec::new();
    };
    let texts: Vec<Text> = match &node.kind {
        NodeKind::List(items) => items
            .iter()
            .filter_map(|item| text(item, "repositories.mirror", problems))
            .collect(),
        _ => text(node, "repositories.mirror", problems)
            .into_iter()
            .collect(),
    };
    for text in &texts {
        if !SCHEMES.iter().any(|scheme| text.value.starts_with(scheme)) {
            problems.add(
                RecipeError::new(text.place, format!("`{}` is not a mirror", text.value))
                    .hint("write an address that begins with https://, http:// or file:///"),
            );
        }
    }
    let trimmed = texts.iter().map(|text| text.value.trim_end_matches('/'));
    trimmed.map(str::to_owned).collect()
}

pub(super) fn packages(
    section: &mut Section<'_>,
    kind: PackageKind,
    problems: &mut Problems,
) -> Packages {
    // RPM packages have no priorities to choose a base by.
    let usual_base = (kind == PackageKind::Deb).then_some(Base::Apt);
    let Some(mut section) = section.section("packages", problems) else {
        return Packages {
            base: usual_base,
            include: Vec::new(),
            exclude: Vec::new(),
        };
    };
    let base = usual_base.and_then(|_| section.choice("base", &BASES, problems));
    let include = section.texts("include", problems);
    for text in &include {
        let name = text
            .value
            .split_once('=')
            .map_or(text.value.as_str(), |(name, _)| name);
        check_name(name, text, kind, problems);
    }
    let exclude = section.texts("exclude", problems);
    for text in &exclude {
        check_name(&text.value, text, kind, problems);
    }
    section.finish(problems);
    for name in &exclude {
        if include.iter().any(|other| other.value == name.value) {
            problems.add(RecipeError::new(
                name.place,
                format!("`{}` is both included and excluded", name.value),
            ));
        }
    }
    Packages {
        base: base.or(usual_base),
        include: values(include),
        exclude: values(exclude),
    }
}

fn check_name(name: &str, text: &Text, kind: PackageKind, problems: &mut Problems) {
    if !is_package_name(name, kind) {
        problems.add(
            RecipeError::new(text.place, format!("`{}` is not a package name", text.value))
                .hint("write a name like `curl`, in `include` perhaps with a version like `curl=7.88.1-10`"),
        );
    }
}

fn values(texts: Vec<Text>) -> Vec<String> {
    texts.into_iter().map(|text| text.value).collect()
}
