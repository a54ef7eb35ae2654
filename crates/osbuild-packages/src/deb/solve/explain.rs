//! Says in words why a request cannot be satisfied.

use std::collections::HashSet;

use super::{SolveError, marking::Marking};
use crate::deb::universe::{Alternative, Dependency, PackageId, Universe, VersionId};

/// More chains than these do not help a reader.
const CHAINS_SHOWN: usize = 3;

/// Explains what is broken, beginning with packages that were asked for.
pub(super) fn explain(
    marking: &Marking<'_, '_>,
    roots: &[PackageId],
    broken: &[PackageId],
) -> SolveError {
    let (mut first, others): (Vec<PackageId>, Vec<PackageId>) =
        broken.iter().partition(|id| roots.contains(id));
    first.extend(others);
    let mut explainer = Explainer {
        marking,
        roots,
        seen: HashSet::new(),
    };
    let mut chains = Vec::new();
    for &id in &first {
        if let Some(version) = marking.state(id).install
            && let Some(rest) = explainer.why_not(id, version)
        {
            let mut chain = explainer.path_to(id);
            chain.extend(rest);
            chains.push(chain);
        }
        if chains.len() == CHAINS_SHOWN {
            break;
        }
    }
    if chains.is_empty() {
        chains.extend(
            first
                .iter()
                .take(CHAINS_SHOWN)
                .map(|&id| explainer.plain(id)),
        );
    }
    SolveError::Unsatisfiable { chains }
}

struct Explainer<'a, 'universe, 'text> {
    marking: &'a Marking<'universe, 'text>,
    roots: &'a [PackageId],
    seen: HashSet<VersionId>,
}

impl<'text> Explainer<'_, '_, 'text> {
    fn universe(&self) -> &Universe<'text> {
        self.marking.universe
    }

    /// The steps from a version down to what makes it impossible; none if nothing new was found.
    fn why_not(&mut self, id: PackageId, version: VersionId) -> Option<Vec<String>> {
        if !self.seen.insert(version) {
            return None;
        }
        if let Some(step) = self.conflict(id, version) {
            return Some(vec![step]);
        }
        let marking = self.marking;
        marking
            .universe
            .dependencies(version)
            .iter()
            .filter(|dependency| dependency.kind.is_critical() && !dependency.kind.is_negative())
            .filter(|dependency| !marking.is_respected(id, dependency))
            .find_map(|dependency| self.unmet(version, dependency))
    }

    /// The first unmet needs of a package, where every way to meet them leads back to where it began.
    fn plain(&self, id: PackageId) -> Vec<String> {
        let marking = self.marking;
        let mut steps = self.path_to(id);
        let unmet = marking.state(id).install.and_then(|version| {
            let mut dependencies = marking.universe.dependencies(version).iter();
            let dependency = dependencies.find(|dependency| {
                dependency.kind.is_critical() && !marking.is_respected(id, dependency)
            })?;
            let (verb, needed) = (dependency.kind.verb(), self.spell_all(dependency));
            Some(format!(
                "{} {verb} {needed}, which nothing that can be installed satisfies",
                self.describe(version)
            ))
        });
        steps.extend(unmet);
        steps
    }

    /// The steps from a package that was asked for down to a chosen one.
    fn path_to(&self, id: PackageId) -> Vec<String> {
        let marking = self.marking;
        let mut steps = Vec::new();
        let mut passed = HashSet::from([id]);
        let mut at = id;
        while !self.roots.contains(&at) {
            let step = marking
                .chosen()
                .filter(|(other, _)| !passed.contains(other))
                .find_map(|(other, version)| {
                    Some((other, version, self.dependency_on(version, at)?))
                });
            let Some((other, version, dependency)) = step else {
                break;
            };
            let (verb, needed) = (dependency.kind.verb(), self.spell_all(&dependency));
            steps.push(format!("{} {verb} {needed}", self.describe(version)));
            passed.insert(other);
            at = other;
        }
        steps.reverse();
        steps
    }

    fn dependency_on(&self, version: VersionId, id: PackageId) -> Option<Dependency> {
        let universe = self.universe();
        let is_on = |dependency: &&Dependency| {
            universe
                .alternatives(dependency)
                .iter()
                .any(|alternative| alternative.target == id)
        };
        let mut needs = universe
            .dependencies(version)
            .iter()
            .filter(|dependency| dependency.kind.is_critical() && !dependency.kind.is_negative());
        needs.find(is_on).copied()
    }

    fn unmet(&mut self, version: VersionId, dependency: &Dependency) -> Option<Vec<String>> {
        let marking = self.marking;
        let head = format!(
            "{} {} {}",
            self.describe(version),
            dependency.kind.verb(),
            self.spell_all(dependency)
        );
        let alternatives = marking.universe.alternatives(dependency);
        let possible: Vec<VersionId> = alternatives
            .iter()
            .flat_map(|alternative| self.possible(alternative))
            .collect();
        if possible.is_empty() {
            let reasons: Vec<String> = alternatives
                .iter()
                .map(|alternative| self.absence(alternative))
                .collect();
            return Some(vec![format!("{head}, but {}", reasons.join(", and "))]);
        }
        for solution in possible {
            let package = self.universe().version(solution).package;
            if let Some(rest) = self.why_not(package, solution) {
                let mut chain = vec![head];
                chain.extend(rest);
                return Some(chain);
            }
        }
        None
    }

    /// Versions that an alternative accepts, whatever became of them.
    fn possible(&self, alternative: &Alternative<'text>) -> Vec<VersionId> {
        let universe = self.universe();
        let package = universe.package(alternative.target);
        let own = package
            .versions
            .iter()
            .copied()
            .filter(|&version| alternative.accepts(Some(universe.version(version).number)));
        let provided = package
            .providers
            .iter()
            .filter(|provider| alternative.accepts(provider.provided_version))
            .map(|provider| provider.version);
        own.chain(provided).collect()
    }

    /// Why no version fits an alternative.
    fn absence(&self, alternative: &Alternative<'text>) -> String {
        let universe = self.universe();
        let name = universe.name(alternative.target);
        let versions: Vec<&str> = universe
            .package(alternative.target)
            .versions
            .iter()
            .map(|&version| universe.version(version).number)
            .collect();
        if versions.is_empty() {
            format!("no repository has `{name}`")
        } else {
            format!(
                "the repositories only have `{name}` {}",
                versions.join(", ")
            )
        }
    }

    /// A conflict between a version and something that will be installed, in either direction.
    fn conflict(&self, id: PackageId, version: VersionId) -> Option<String> {
        let marking = self.marking;
        for (other, chosen) in marking.chosen().filter(|&(other, _)| other != id) {
            let verb = self
                .negative_verb(id, version, other, chosen)
                .map(|verb| (version, verb, chosen))
                .or_else(|| {
                    self.negative_verb(other, chosen, id, version)
                        .map(|verb| (chosen, verb, version))
                });
            if let Some((subject, verb, object)) = verb {
                let (subject, object) = (self.describe(subject), self.describe(object));
                return Some(format!(
                    "{subject} {verb} {object}{}",
                    self.why_wanted(other)
                ));
            }
        }
        None
    }

    fn negative_verb(
        &self,
        id: PackageId,
        version: VersionId,
        other: PackageId,
        chosen: VersionId,
    ) -> Option<&'static str> {
        let universe = self.universe();
        universe
            .dependencies(version)
            .iter()
            .filter(|dependency| dependency.kind.is_negative())
            .find(|dependency| {
                universe.alternatives(dependency).iter().any(|alternative| {
                    self.marking.meets(id, dependency, alternative, |state| {
                        let is_other = std::ptr::eq(state, self.marking.state(other));
                        is_other.then_some(chosen)
                    })
                })
            })
            .map(|dependency| dependency.kind.verb())
    }

    fn why_wanted(&self, id: PackageId) -> String {
        if self.roots.contains(&id) {
            return format!("; `{}` was asked for", self.universe().name(id));
        }
        let marking = self.marking;
        let needer = marking
            .chosen()
            .find(|&(other, version)| other != id && self.dependency_on(version, id).is_some());
        needer.map_or_else(String::new, |(other, _)| {
            format!(
                "; `{}` needs `{}`",
                self.universe().name(other),
                self.universe().name(id)
            )
        })
    }

    fn describe(&self, version: VersionId) -> String {
        let version = self.universe().version(version);
        format!(
            "`{}` {}",
            self.universe().name(version.package),
            version.number
        )
    }

    fn spell_all(&self, dependency: &Dependency) -> String {
        let spelled: Vec<String> = self
            .universe()
            .alternatives(dependency)
            .iter()
            .map(|alternative| self.spell(alternative))
            .collect();
        spelled.join(" or ")
    }

    fn spell(&self, alternative: &Alternative<'_>) -> String {
        let name = self.universe().name(alternative.target);
        match alternative.constraint {
            Some((operator, bound)) => format!("`{name}` ({} {bound})", operator.as_str()),
            None => format!("`{name}`"),
        }
    }
}
