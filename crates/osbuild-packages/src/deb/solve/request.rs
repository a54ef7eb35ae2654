//! What is asked for.

use serde::{Deserialize, Serialize};

use super::{SolveError, error::nearest_names, marking::Marking};
use crate::deb::universe::{PackageId, Priority, Universe, VersionId};

/// A set of packages to choose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SolveRequest {
    /// Names, in the order they would be given to apt; `name=version` asks for one version.
    pub packages: Vec<String>,
    /// What belongs to the system besides the named packages.
    pub base: BaseSet,
    /// Preferences between versions, the first that fits wins.
    pub pins: Vec<Pin>,
}

/// The packages that belong to every system, as mmdebstrap's variants name them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BaseSet {
    /// Nothing but the named packages.
    Nothing,
    /// Packages marked essential.
    Essential,
    /// Packages marked essential, and apt.
    #[default]
    Apt,
    /// The above, and all of priority required.
    Minbase,
    /// The above, and all of priority important.
    Important,
    /// The above, and all of priority standard.
    Standard,
}

/// Prefers or refuses versions, like a stanza of apt's preferences(5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// A package name with `*` and `?` as wildcards; `*` alone speaks of whole repositories.
    pub package: String,
    /// The versions that are meant.
    pub target: PinTarget,
    /// The higher the better; negative forbids.
    pub priority: i32,
}

/// The versions that a pin speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinTarget {
    /// A version number with wildcards.
    Version(String),
    /// A suite or a code name.
    Release(String),
    /// The `Origin` of a repository.
    Origin(String),
    /// The host that a repository is fetched from.
    Site(String),
}

/// Finds the packages that a request names, its base set first.
pub(super) fn roots(
    universe: &Universe<'_>,
    request: &SolveRequest,
    marking: &mut Marking<'_, '_>,
) -> Result<Vec<PackageId>, SolveError> {
    if request.base != BaseSet::Nothing {
        check_essentials(universe, marking)?;
    }
    let mut roots: Vec<PackageId> = universe
        .package_ids()
        .filter(|&id| {
            marking
                .candidate(id)
                .is_some_and(|version| in_base(universe, request.base, id, version))
        })
        .collect();
    for wanted in &request.packages {
        let id = find(universe, marking, wanted)?;
        if !roots.contains(&id) {
            roots.push(id);
        }
    }
    Ok(roots)
}

/// No system is without its essential packages: what has no dependency on them relies on them nevertheless.
fn check_essentials(universe: &Universe<'_>, marking: &Marking<'_, '_>) -> Result<(), SolveError> {
    let missing = universe.package_ids().find(|&id| {
        let package = universe.package(id);
        package.is_essential
            && universe.name(id) != "apt"
            && !package.versions.is_empty()
            && marking.candidate(id).is_none()
    });
    match missing {
        Some(id) => Err(SolveError::Essential {
            name: universe.name(id).to_owned(),
        }),
        None => Ok(()),
    }
}

fn in_base(universe: &Universe<'_>, base: BaseSet, id: PackageId, version: VersionId) -> bool {
    let is_apt = universe.name(id) == "apt";
    let is_essential = universe.package(id).is_essential && !is_apt;
    let priority = universe.version(version).priority;
    let up_to = |limit| priority != Priority::Unset && priority <= limit;
    match base {
        BaseSet::Nothing => false,
        BaseSet::Essential => is_essential,
        BaseSet::Apt => is_essential || is_apt,
        BaseSet::Minbase => is_essential || is_apt || up_to(Priority::Required),
        BaseSet::Important => is_essential || is_apt || up_to(Priority::Important),
        BaseSet::Standard => is_essential || is_apt || up_to(Priority::Standard),
    }
}

fn find(
    universe: &Universe<'_>,
    marking: &mut Marking<'_, '_>,
    wanted: &str,
) -> Result<PackageId, SolveError> {
    let (name, number) = match wanted.split_once('=') {
        Some((name, number)) => (name, Some(number)),
        None => (wanted, None),
    };
    let suffix = format!(":{}", universe.architecture());
    let name = name.strip_suffix(&suffix).unwrap_or(name);
    let unknown = || SolveError::UnknownPackage {
        name: name.to_owned(),
        nearest: nearest_names(universe, name),
    };
    let id = universe.find(name).ok_or_else(unknown)?;
    if let Some(number) = number {
        return select_version(universe, marking, id, number);
    }
    if marking.candidate(id).is_some() {
        return Ok(id);
    }
    if !universe.package(id).versions.is_empty() {
        return Err(SolveError::Forbidden {
            name: name.to_owned(),
        });
    }
    let mut providers: Vec<PackageId> = universe
        .package(id)
        .providers
        .iter()
        .filter(|provider| {
            let package = universe.version(provider.version).package;
            marking.candidate(package) == Some(provider.version)
        })
        .map(|provider| universe.version(provider.version).package)
        .collect();
    providers.sort_unstable();
    providers.dedup();
    match providers.as_slice() {
        [] => Err(unknown()),
        [only] => Ok(*only),
        many => Err(SolveError::Virtual {
            name: name.to_owned(),
            providers: sorted_names(universe, many),
        }),
    }
}

fn select_version(
    universe: &Universe<'_>,
    marking: &mut Marking<'_, '_>,
    id: PackageId,
    number: &str,
) -> Result<PackageId, SolveError> {
    let versions = &universe.package(id).versions;
    let found = versions
        .iter()
        .find(|&&version| universe.version(version).number == number);
    match found {
        Some(&version) => {
            marking.set_candidate(id, version);
            Ok(id)
        }
        None => Err(SolveError::UnknownVersion {
            name: universe.name(id).to_owned(),
            version: number.to_owned(),
            available: versions
                .iter()
                .map(|&version| universe.version(version).number.to_owned())
                .collect(),
        }),
    }
}

fn sorted_names(universe: &Universe<'_>, ids: &[PackageId]) -> Vec<String> {
    let mut names: Vec<String> = ids.iter().map(|&id| universe.name(id).to_owned()).collect();
    names.sort_unstable();
    names
}
