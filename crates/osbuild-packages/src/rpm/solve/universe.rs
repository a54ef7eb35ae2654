//! All packages that can be had, and who provides what.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use crate::rpm::dependency::{Capability, Requirement};
use crate::rpm::repository::Available;

/// Packages by number, found by what they provide.
#[derive(Debug, Default)]
pub struct Universe {
    packages: Vec<Available>,
    /// Newest first.
    named: HashMap<String, Vec<usize>>,
    providers: HashMap<String, Vec<usize>>,
}

impl Universe {
    /// Takes in packages; of equal ones, the first is kept.
    pub fn new(packages: Vec<Available>) -> Self {
        let mut universe = Self::default();
        for package in packages {
            universe.add(package);
        }
        let Self {
            packages, named, ..
        } = &mut universe;
        for ids in named.values_mut() {
            ids.sort_by(|one, other| order(&packages[*other], &packages[*one]));
        }
        universe
    }

    fn add(&mut self, package: Available) {
        let same = self.named.entry(package.name.clone()).or_default();
        let is_known = same.iter().any(|id| {
            let known = &self.packages[*id];
            known.evr == package.evr && known.architecture == package.architecture
        });
        if is_known {
            return;
        }
        let id = self.packages.len();
        same.push(id);
        let provided = package.provides.iter().map(|capability| &capability.name);
        // Names may be provided in several versions.
        let provided: BTreeSet<&String> = provided.chain(&package.files).collect();
        for name in provided {
            self.providers.entry(name.clone()).or_default().push(id);
        }
        self.packages.push(package);
    }

    /// The package of this number.
    pub(super) fn package(&self, id: usize) -> &Available {
        &self.packages[id]
    }

    /// The packages of a name, newest first.
    pub(super) fn named(&self, name: &str) -> &[usize] {
        self.named.get(name).map_or(&[], Vec::as_slice)
    }

    /// The packages that provide what is needed.
    pub(super) fn providers(&self, need: &Capability) -> Vec<usize> {
        let ids = self.providers.get(&need.name).into_iter().flatten();
        ids.copied().filter(|id| self.provides(*id, need)).collect()
    }

    /// Whether one package takes the place of another: of that name, whoever else provides it.
    pub(super) fn obsoletes(&self, one: usize, other: usize) -> bool {
        let (one, other) = (&self.packages[one], &self.packages[other]);
        let mut obsoletes = one.obsoletes.iter();
        one.name != other.name
            && obsoletes.any(|obsolete| {
                obsolete.name == other.name
                    && Capability::exact(&other.name, &other.evr).satisfies(obsolete)
            })
    }

    /// Packages that take the place of another.
    pub(super) fn replacements(&self, of: usize) -> impl Iterator<Item = usize> {
        (0..self.packages.len()).filter(move |id| self.obsoletes(*id, of))
    }

    /// Whether a package provides what is needed.
    pub(super) fn provides(&self, id: usize, need: &Capability) -> bool {
        let package = &self.packages[id];
        let mut provided = package.provides.iter();
        let is_file = need.range.is_none() && need.name.starts_with('/');
        provided.any(|capability| capability.satisfies(need))
            || is_file && package.files.contains(&need.name)
    }

    /// The packages that alone satisfy a requirement; none for one that is about several.
    pub(super) fn satisfying(&self, requirement: &Requirement) -> Vec<usize> {
        match requirement {
            Requirement::Capability(need) => self.providers(need),
            Requirement::Any(parts) => {
                let ids: BTreeSet<usize> = parts
                    .iter()
                    .flat_map(|part| self.satisfying(part))
                    .collect();
                ids.into_iter().collect()
            }
            Requirement::With(parts) => {
                let first = parts.first().map(|part| self.satisfying(part));
                let ids = first.unwrap_or_default().into_iter();
                ids.filter(|id| parts.iter().all(|part| self.is_satisfied_by(*id, part)))
                    .collect()
            }
            Requirement::Without(pair) => {
                let ids = self.satisfying(&pair[0]).into_iter();
                ids.filter(|id| !self.is_satisfied_by(*id, &pair[1]))
                    .collect()
            }
            Requirement::All(_) | Requirement::If(..) | Requirement::Unless(..) => Vec::new(),
        }
    }

    /// Whether a package alone satisfies a requirement.
    pub(super) fn is_satisfied_by(&self, id: usize, requirement: &Requirement) -> bool {
        match requirement {
            Requirement::Capability(need) => self.provides(id, need),
            other => self.satisfying(other).contains(&id),
        }
    }
}

/// The order of packages of one name.
fn order(one: &Available, other: &Available) -> Ordering {
    one.evr.compare(&other.evr)
}
