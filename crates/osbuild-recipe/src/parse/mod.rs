//! Reads a recipe: YAML text in, a checked [`Recipe`] or every error with its place out.

mod account_checks;
mod accounts;
mod boot;
mod disk;
mod disk_checks;
mod files;
mod identity_names;
mod outputs;
mod packages;
mod password;
mod ssh_key;
mod system;
mod timezone;

use std::path::{Path, PathBuf};

use crate::base_accounts::BaseAccounts;
use crate::distribution::{Architecture, Distribution, PackageKind, Release};
use crate::node;
use crate::problem::{Problems, RecipeError, RecipeErrors};
use crate::recipe::{BuildRoot, Disk, Recipe};
use crate::section::{Section, Text, choose};

/// Reads a recipe; `path` gives it its name and the folder of the files it names, and is not opened.
pub fn parse(text: &str, path: &Path) -> Result<Recipe, RecipeErrors> {
    let mut problems = Problems::default();
    let recipe = match node::read(text) {
        Ok(document) => Section::open(&document, "", &mut problems)
            .and_then(|section| recipe(section, path, &mut problems)),
        Err(error) => {
            problems.add(error);
            None
        }
    };
    problems.conclude(path, recipe)
}

/// Reads every section even when an earlier one is wrong, so that all errors are found at once.
fn recipe(mut section: Section<'_>, path: &Path, problems: &mut Problems) -> Option<Recipe> {
    let name = name(&mut section, path, problems);
    let release = release(&mut section, problems);
    let architecture = architecture(&mut section, problems);
    let kind = release.map_or(PackageKind::Deb, Release::packages);
    let repositories = packages::repositories(&mut section, release, problems);
    let packages = packages::packages(&mut section, kind, problems);
    let groups = accounts::groups(&mut section, problems);
    let users = accounts::users(&mut section, problems);
    account_checks::check(&groups, &users, BaseAccounts::of(kind), problems);
    let hostname = system::hostname(&mut section, problems);
    let locale = system::locale(&mut section, problems);
    let timezone = system::timezone(&mut section, problems);
    let keymap = system::keymap(&mut section, problems);
    let services = system::services(&mut section, problems);
    let files = files::files(&mut section, problems);
    let outputs = outputs::outputs(&mut section, &name, problems);
    let boot = boot::boot(&mut section, problems);
    let kernel = boot::kernel(&mut section, kind, problems);
    let disk = disk::disk(&mut section, &outputs, boot, problems);
    let build = build(&mut section, problems);
    check_boot_loader(&mut section, release, architecture, disk.as_ref(), problems);
    section.finish(problems);

    let release = release?;
    Some(Recipe {
        path: PathBuf::from(path),
        name,
        release,
        architecture,
        repositories,
        packages,
        groups,
        users,
        hostname,
        locale,
        timezone,
        keymap,
        services,
        files,
        kernel: boot::kernel_for(kernel, disk.as_ref(), release, architecture),
        disk,
        outputs,
        build,
    })
}

/// The recipe's own name, by default its file's.
fn name(section: &mut Section<'_>, path: &Path, problems: &mut Problems) -> String {
    let fallback = || {
        path.file_stem()
            .map_or_else(|| "image".to_owned(), |stem| stem.to_string_lossy().into())
    };
    let Some(name) = section.text("name", problems) else {
        return fallback();
    };
    if !identity_names::is_file_name(&name.value) {
        problems.add(
            RecipeError::new(name.place, "`name` is not usable as a file name")
                .hint("use letters, digits, `.`, `_` and `-`"),
        );
    }
    name.value
}

fn release(section: &mut Section<'_>, problems: &mut Problems) -> Option<Release> {
    let distribution = section.required_text("distribution", problems);
    let release = section.required_word("release", problems);
    let distribution = distribution
        .and_then(|text| choose(&text, "distribution", &Distribution::ALL, problems))?;
    let Text { value, place } = release?;
    let known = distribution.releases();
    let found = known.iter().find(|(name, _)| *name == value);
    if found.is_none() {
        let names: Vec<String> = known.iter().map(|(name, _)| format!("`{name}`")).collect();
        problems.add(
            RecipeError::new(
                place,
                format!("`{value}` is no known release of {}", distribution.word()),
            )
            .hint(format!("known releases: {}", names.join(", "))),
        );
    }
    found.map(|(_, release)| *release)
}

fn architecture(section: &mut Section<'_>, problems: &mut Problems) -> Architecture {
    section
        .choice("architecture", &Architecture::ALL, problems)
        .unwrap_or_else(Architecture::host)
}

/// The boot loader is set up for PCs only, and as Debian's packages have it.
fn check_boot_loader(
    section: &mut Section<'_>,
    release: Option<Release>,
    architecture: Architecture,
    disk: Option<&Disk>,
    problems: &mut Problems,
) {
    let starts = disk.is_some_and(|disk| disk.firmware.is_some());
    let rpm = release.filter(|release| release.packages() == PackageKind::Rpm);
    let (key, subject) = match (rpm, architecture) {
        (Some(release), _) => ("distribution", release.distribution().word()),
        (None, Architecture::Arm64) => ("architecture", architecture.word()),
        (None, Architecture::Amd64) => return,
    };
    if starts {
        let node = section.get(key);
        let place = node.map_or(section.place(), |node| node.place);
        problems.add(
            RecipeError::new(place, format!("no boot loader can be set up for {subject}"))
                .hint("write `boot: {firmware: none}`, or make archives only"),
        );
    }
}

fn build(section: &mut Section<'_>, problems: &mut Problems) -> BuildRoot {
    let choices = [("own", BuildRoot::Own), ("host", BuildRoot::Host)];
    section
        .choice("build", &choices, problems)
        .unwrap_or(BuildRoot::Own)
}
