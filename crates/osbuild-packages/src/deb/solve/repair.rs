//! What apt's problem resolver does when marking left something broken.
//!
//! Marking is greedy: a package marked late may throw out one that an earlier package needs. Every package gets a
//! score, and from the highest to the lowest each broken package is helped: one asked for gets another of its
//! alternatives, one that is only a dependency is dropped, and what it conflicts with and scores less is thrown out.
//!
//! apt orders packages of equal score by its hash table; here they are ordered by number.

use super::{
    marking::{Asked, Dependencies, Marking},
    scores,
};
use crate::deb::universe::{Alternative, Dependency, DependencyKind, PackageId, VersionId};

/// How often apt goes over all packages.
const ROUNDS: usize = 20;

/// Helps broken packages; those that remain broken cannot be helped.
pub(super) fn repair(marking: &mut Marking<'_, '_>, roots: &[PackageId]) {
    let order_scores = scores::compute(marking, roots);
    let mut order: Vec<PackageId> = marking.universe.package_ids().collect();
    order.sort_by_key(|id| std::cmp::Reverse(order_scores[id.0 as usize]));
    let mut repair = Repair {
        untried: vec![true; order.len()],
        scores: order_scores,
        marking,
        roots,
    };
    for round in 0..ROUNDS {
        let mut has_changed = false;
        for &id in &order {
            if repair.marking.is_broken(id) {
                has_changed |= repair.help(id, round);
            }
        }
        if !has_changed {
            break;
        }
    }
}

struct Repair<'a, 'universe, 'text> {
    marking: &'a mut Marking<'universe, 'text>,
    roots: &'a [PackageId],
    scores: Vec<i32>,
    /// Packages that were not yet installed in someone's aid; each is tried once only.
    untried: Vec<bool>,
}

/// What became of an attempt to satisfy one alternative.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    /// Nothing changed.
    Nothing,
    /// Something changed that may help.
    Changed,
    /// The broken package was dropped.
    Dropped,
}

/// What happens to a package none of whose alternatives helped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LastResort {
    Delete,
    Keep,
}

impl<'text> Repair<'_, '_, 'text> {
    fn score(&self, id: PackageId) -> i32 {
        self.scores[id.0 as usize]
    }

    fn is_protected(&self, id: PackageId) -> bool {
        self.marking.state(id).is_protected
    }

    /// Helps one broken package, and says whether anything changed.
    fn help(&mut self, id: PackageId, round: usize) -> bool {
        let Some(version) = self.marking.state(id).install else {
            return false;
        };
        let universe = self.marking.universe;
        let mut has_changed = false;
        let mut in_the_way = Vec::new();
        for dependency in universe
            .dependencies(version)
            .iter()
            .filter(|dependency| dependency.kind.is_critical())
        {
            match self.help_with(id, dependency, &mut in_the_way) {
                Attempt::Nothing => {}
                Attempt::Changed => has_changed = true,
                Attempt::Dropped => {
                    has_changed = true;
                    break;
                }
            }
        }
        if self.marking.state(id).install.is_some() {
            for other in in_the_way {
                has_changed |= self.throw_out(id, other, round);
            }
        }
        has_changed
    }

    fn help_with(
        &mut self,
        id: PackageId,
        dependency: &Dependency,
        in_the_way: &mut Vec<PackageId>,
    ) -> Attempt {
        let alternatives = self.marking.universe.alternatives(dependency);
        let has_choice = alternatives.len() > 1;
        let known = in_the_way.len();
        let mut last_resort = LastResort::Delete;
        let mut has_changed = false;
        for alternative in alternatives {
            if self.marking.is_respected(id, dependency) {
                return if has_changed {
                    Attempt::Changed
                } else {
                    Attempt::Nothing
                };
            }
            let targets = self.targets(id, dependency, alternative);
            if targets.is_empty() && !self.is_protected(id) && !dependency.kind.is_negative() {
                if has_choice {
                    continue;
                }
                self.marking.mark_keep(id);
                return Attempt::Dropped;
            }
            let attempt = self.try_targets(
                id,
                dependency,
                &targets,
                has_choice,
                &mut last_resort,
                in_the_way,
            );
            has_changed |= attempt != Attempt::Nothing;
            if attempt == Attempt::Dropped && !has_choice {
                return attempt;
            }
        }
        if has_choice && known == in_the_way.len() && !self.marking.is_respected(id, dependency) {
            has_changed |= self.give_up(id, last_resort);
        }
        if has_changed {
            Attempt::Changed
        } else {
            Attempt::Nothing
        }
    }

    /// Tries the versions that an alternative speaks of, or notes those that are in the way.
    fn try_targets(
        &mut self,
        id: PackageId,
        dependency: &Dependency,
        targets: &[VersionId],
        has_choice: bool,
        last_resort: &mut LastResort,
        in_the_way: &mut Vec<PackageId>,
    ) -> Attempt {
        let is_negative = dependency.kind.is_negative();
        for &target in targets {
            let other = self.marking.universe.version(target).package;
            if is_negative && self.marking.state(other).install != Some(target) {
                continue;
            }
            // What is needed was never installed before, so only conflicts are weighed by score.
            if is_negative && self.score(id) > self.score(other) {
                if !self.is_protected(other) && !self.replace_broken(dependency, id, other) {
                    in_the_way.push(other);
                }
                continue;
            }
            if self.is_protected(id) {
                if self.install_in_aid(other) {
                    self.scores[other.0 as usize] = self.score(other).min(self.score(id));
                    return Attempt::Changed;
                }
                continue;
            }
            let was_marked = self.marking.state(id).is_marked;
            self.marking.mark_keep(id);
            *last_resort = LastResort::Keep;
            if has_choice && was_marked {
                self.marking
                    .mark_install(id, Dependencies::Leave, 0, Asked::ByDependency);
            }
            return Attempt::Dropped;
        }
        Attempt::Nothing
    }

    /// A broken package whose candidate is not broken is given its candidate.
    fn replace_broken(&mut self, dependency: &Dependency, id: PackageId, other: PackageId) -> bool {
        let alternatives = self.marking.universe.alternatives(dependency);
        let breaks_candidate = alternatives.iter().any(|alternative| {
            self.marking
                .meets(id, dependency, alternative, |state| state.candidate)
        });
        let can = dependency.kind == DependencyKind::Breaks && !breaks_candidate;
        if can {
            self.marking
                .mark_install(other, Dependencies::Leave, 0, Asked::ByDependency);
        }
        can
    }

    fn give_up(&mut self, id: PackageId, last_resort: LastResort) -> bool {
        match last_resort {
            LastResort::Keep => {
                self.marking.mark_keep(id);
                true
            }
            LastResort::Delete => !self.is_protected(id) && self.marking.mark_delete(id),
        }
    }

    fn throw_out(&mut self, id: PackageId, other: PackageId, round: usize) -> bool {
        let is_out = self.marking.mark_keep(other);
        let mut has_changed = is_out;
        if (!is_out || round > 1) && self.score(id) > self.score(other) {
            self.scores[other.0 as usize] = self.score(id);
            has_changed = true;
        }
        has_changed
    }

    /// Installs a package, and what it needs, because a package that was asked for needs it.
    fn install_in_aid(&mut self, id: PackageId) -> bool {
        let can = self.untried[id.0 as usize]
            && self.marking.candidate(id).is_some()
            && !self.roots.contains(&id);
        if !can {
            return false;
        }
        self.untried[id.0 as usize] = false;
        let was_marked = self.marking.state(id).is_marked;
        if !self
            .marking
            .mark_install(id, Dependencies::Leave, 0, Asked::ByDependency)
        {
            return false;
        }
        let Some(version) = self.marking.state(id).install else {
            return false;
        };
        let universe = self.marking.universe;
        let works = universe
            .dependencies(version)
            .iter()
            .filter(|dependency| dependency.kind.is_critical())
            .all(|dependency| self.install_needed(id, dependency));
        if !works {
            if was_marked {
                self.marking.mark_delete(id);
            } else {
                self.marking.mark_keep(id);
            }
        }
        works
    }

    fn install_needed(&mut self, id: PackageId, dependency: &Dependency) -> bool {
        let universe = self.marking.universe;
        let mut works = true;
        for alternative in universe.alternatives(dependency) {
            if self.marking.is_respected(id, dependency) {
                break;
            }
            let target = self.single_target(id, alternative);
            let is_met = self
                .marking
                .meets(id, dependency, alternative, |state| state.candidate);
            if self.is_protected(target) {
                works = false;
            } else if is_met != dependency.kind.is_negative() {
                works = self.install_in_aid(target);
                if works {
                    break;
                }
            } else if dependency.kind.is_negative() {
                // The next round deals with conflicts.
                break;
            } else {
                works = false;
            }
        }
        works
    }

    /// The package of the alternative's name, or if there is none the provider met last.
    fn single_target(&self, owner: PackageId, alternative: &Alternative<'text>) -> PackageId {
        let universe = self.marking.universe;
        let package = universe.package(alternative.target);
        if !package.versions.is_empty() {
            return alternative.target;
        }
        package
            .providers
            .iter()
            .rev()
            .map(|provider| universe.version(provider.version).package)
            .find(|&provider| provider != owner)
            .unwrap_or(alternative.target)
    }

    /// All versions that an alternative speaks of, candidates or not.
    fn targets(
        &self,
        owner: PackageId,
        dependency: &Dependency,
        alternative: &Alternative<'text>,
    ) -> Vec<VersionId> {
        let universe = self.marking.universe;
        let is_ignored = |package: PackageId| dependency.kind.is_negative() && package == owner;
        let package = universe.package(alternative.target);
        let own = package
            .versions
            .iter()
            .copied()
            .filter(|&version| alternative.accepts(Some(universe.version(version).number)));
        let provided = package
            .providers
            .iter()
            .rev()
            .filter(|provider| alternative.accepts(provider.provided_version))
            .map(|provider| provider.version);
        own.chain(provided)
            .filter(|&version| !is_ignored(universe.version(version).package))
            .collect()
    }
}
