//! Which packages a spec means: a name, a name with version or architecture, a pattern, something provided or a file.

use std::collections::BTreeMap;

use osbuild_manifest::checkpoint::matches_pattern;
use osbuild_packages::rpm::dependency::{Capability, Requirement};
use osbuild_packages::rpm::repository::Available;

/// What a spec asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// These, by name or as `NAME=VERSION`.
    Packages(Vec<String>),
    /// Whatever provides this.
    Provider(Requirement),
    Nothing,
}

/// Reads a spec, in the order in which dnf does.
pub(super) fn resolve(spec: &str, packages: &[&Available]) -> Wanted {
    if packages.iter().any(|package| package.name == spec) {
        return Wanted::Packages(vec![spec.to_owned()]);
    }
    let mut found: BTreeMap<&str, &Available> = BTreeMap::new();
    for package in packages.iter().filter(|package| matches(spec, package)) {
        let best = found.entry(&package.name).or_insert(package);
        if package.evr.compare(&best.evr).is_gt() {
            *best = package;
        }
    }
    if !found.is_empty() {
        let exact = found.into_values();
        let exact = exact.map(|package| format!("{}={}", package.name, package.evr));
        return Wanted::Packages(exact.collect());
    }
    match Capability::parse(spec) {
        Ok(need) if packages.iter().any(|package| provides(package, &need)) => {
            Wanted::Provider(Requirement::Capability(need))
        }
        _ => Wanted::Nothing,
    }
}

fn provides(package: &Available, need: &Capability) -> bool {
    let mut provided = package.provides.iter();
    provided.any(|capability| capability.satisfies(need))
        || need.range.is_none() && package.files.contains(&need.name)
}

/// Whether a spec, perhaps a pattern, is one of the ways to write a package.
pub(super) fn matches(spec: &str, package: &Available) -> bool {
    let Available {
        name,
        evr,
        architecture,
        ..
    } = package;
    let version = &evr.version;
    let release = evr.release.as_deref().unwrap_or_default();
    let epoch = evr.epoch;
    let mut forms = vec![
        name.clone(),
        format!("{name}.{architecture}"),
        format!("{name}-{version}"),
        format!("{name}-{epoch}:{version}"),
    ];
    for full in [
        format!("{name}-{version}-{release}"),
        format!("{name}-{epoch}:{version}-{release}"),
    ] {
        forms.push(format!("{full}.{architecture}"));
        forms.push(full);
    }
    forms.iter().any(|form| matches_pattern(form, spec))
}

#[cfg(test)]
mod tests {
    use osbuild_packages::rpm::version::Evr;

    use super::*;

    fn package(name: &str, evr: &str) -> Available {
        Available {
            name: name.to_owned(),
            evr: Evr::parse(evr),
            architecture: "noarch".to_owned(),
            ..Available::default()
        }
    }

    #[test]
    fn a_spec_may_have_a_version_an_architecture_or_a_pattern() {
        let packages = [
            package("a", "2:1-1"),
            package("a", "2:2-1"),
            package("ab", "1-1"),
        ];
        let packages: Vec<&Available> = packages.iter().collect();
        for (spec, wanted) in [
            ("a", vec!["a"]),
            ("a.noarch", vec!["a=2:2-1"]),
            ("a-1", vec!["a=2:1-1"]),
            ("a-1-1.noarch", vec!["a=2:1-1"]),
            ("a-2:1-1", vec!["a=2:1-1"]),
            ("a*", vec!["a=2:2-1", "ab=1-1"]),
        ] {
            let wanted = wanted.into_iter().map(str::to_owned).collect();
            assert_eq!(resolve(spec, &packages), Wanted::Packages(wanted), "{spec}");
        }
        assert_eq!(resolve("a-1-2", &packages), Wanted::Nothing);
    }
}
