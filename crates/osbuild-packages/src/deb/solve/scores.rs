//! The scores by which apt's problem resolver decides who yields to whom.

use super::marking::Marking;
use crate::deb::universe::{DependencyKind, PackageId, Priority, Universe, VersionId};

const ESSENTIAL: i32 = 100;
/// Added last, so that essential packages are above all others.
const ESSENTIAL_ABOVE: i32 = 5000;
/// Added to packages that were asked for.
const ASKED_FOR: i32 = 10_000;

/// The score of every package, by its number.
pub(super) fn compute(marking: &Marking<'_, '_>, roots: &[PackageId]) -> Vec<i32> {
    let universe = marking.universe;
    let mut scores = vec![0; universe.package_ids().count()];
    for (id, version) in marking.chosen() {
        scores[id.0 as usize] += of_package(universe, id, version);
        for (target, weight) in weights(marking, id, version) {
            scores[target.0 as usize] += weight;
        }
    }
    let own = scores.clone();
    for (id, version) in marking.chosen() {
        for target in needs(marking, version) {
            scores[target.0 as usize] += own[id.0 as usize].max(0);
        }
    }
    for id in universe.package_ids() {
        let transfer = (scores[id.0 as usize] - own[id.0 as usize]).abs();
        if transfer != 0 {
            for provider in chosen_providers(marking, id) {
                scores[provider.0 as usize] += transfer;
            }
        }
    }
    for id in universe.package_ids() {
        if roots.contains(&id) {
            scores[id.0 as usize] += ASKED_FOR;
        }
        if is_essential(universe, id) {
            scores[id.0 as usize] += ESSENTIAL_ABOVE;
        }
    }
    scores
}

fn is_essential(universe: &Universe<'_>, id: PackageId) -> bool {
    let package = universe.package(id);
    package.is_essential || package.is_important
}

fn of_package(universe: &Universe<'_>, id: PackageId, version: VersionId) -> i32 {
    let priority = match universe.version(version).priority {
        Priority::Unset => 0,
        Priority::Required => 3,
        Priority::Important => 2,
        Priority::Standard => 1,
        Priority::Optional => -1,
        Priority::Extra => -2,
    };
    priority
        + if is_essential(universe, id) {
            ESSENTIAL
        } else {
            0
        }
}

/// What a chosen package adds to the packages that it speaks of.
fn weights(
    marking: &Marking<'_, '_>,
    owner: PackageId,
    version: VersionId,
) -> Vec<(PackageId, i32)> {
    let universe = marking.universe;
    let mut weights = Vec::new();
    for dependency in universe.dependencies(version) {
        let weight = match dependency.kind {
            DependencyKind::PreDepends | DependencyKind::Depends | DependencyKind::Recommends => 1,
            DependencyKind::Conflicts | DependencyKind::Breaks => -1,
            DependencyKind::Suggests => continue,
        };
        let is_negative = dependency.kind.is_negative();
        for alternative in universe.alternatives(dependency) {
            let target = alternative.target;
            if !(is_negative && target == owner) {
                let chosen = marking.state(target).install;
                let fits = chosen.is_some_and(|chosen| {
                    alternative.accepts(Some(universe.version(chosen).number))
                });
                if alternative.constraint.is_some() && !fits {
                    continue;
                }
                weights.push((target, weight));
            }
            let mut providers: Vec<PackageId> = universe
                .package(target)
                .providers
                .iter()
                .filter(|provider| alternative.accepts(provider.provided_version))
                .filter(|provider| {
                    let package = universe.version(provider.version).package;
                    marking.state(package).install == Some(provider.version)
                        && !(is_negative && package == owner)
                })
                .map(|provider| universe.version(provider.version).package)
                .collect();
            providers.sort_unstable();
            providers.dedup();
            weights.extend(providers.into_iter().map(|provider| (provider, weight)));
        }
    }
    weights
}

/// The chosen packages that a version names in what it needs or recommends.
fn needs(marking: &Marking<'_, '_>, version: VersionId) -> Vec<PackageId> {
    let universe = marking.universe;
    universe
        .dependencies(version)
        .iter()
        .filter(|dependency| {
            !dependency.kind.is_negative() && dependency.kind != DependencyKind::Suggests
        })
        .flat_map(|dependency| universe.alternatives(dependency))
        .map(|alternative| alternative.target)
        .filter(|&target| marking.state(target).install.is_some())
        .collect()
}

fn chosen_providers(marking: &Marking<'_, '_>, id: PackageId) -> Vec<PackageId> {
    let universe = marking.universe;
    let mut providers: Vec<PackageId> = universe
        .package(id)
        .providers
        .iter()
        .filter(|provider| {
            marking
                .state(universe.version(provider.version).package)
                .install
                == Some(provider.version)
        })
        .map(|provider| universe.version(provider.version).package)
        .collect();
    providers.sort_unstable();
    providers.dedup();
    providers
}
