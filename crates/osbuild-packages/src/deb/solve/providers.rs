//! Which packages satisfy a dependency, in the order apt would try them.

use std::cmp::{Ordering, Reverse};

use super::marking::Marking;
use crate::deb::universe::{Alternative, Dependency, PackageId, VersionId};

/// The order of solutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Alternatives as written, providers of each best first.
    BestFirst,
    /// By the number of the version.
    AsNumbered,
}

/// The candidates that a dependency speaks of.
pub(super) fn solutions(
    marking: &Marking<'_, '_>,
    owner: PackageId,
    dependency: &Dependency,
    order: Order,
) -> Vec<VersionId> {
    let mut found = Vec::new();
    for alternative in marking.universe.alternatives(dependency) {
        let mut versions = candidates(marking, owner, dependency, alternative);
        if order == Order::BestFirst {
            versions.sort_by(|&left, &right| compare(marking, alternative.target, left, right));
        }
        found.extend(versions);
    }
    if order == Order::AsNumbered {
        found.sort_unstable();
    }
    found.dedup();
    if !dependency.kind.is_negative() {
        found.retain(|&version| {
            let state = marking.state(marking.universe.version(version).package);
            !state.is_protected || state.is_marked
        });
    }
    found
}

fn candidates(
    marking: &Marking<'_, '_>,
    owner: PackageId,
    dependency: &Dependency,
    alternative: &Alternative<'_>,
) -> Vec<VersionId> {
    let universe = marking.universe;
    let is_ignored = |package: PackageId| dependency.kind.is_negative() && package == owner;
    let mut found = Vec::new();
    if let Some(version) = marking.candidate(alternative.target)
        && !is_ignored(alternative.target)
        && alternative.accepts(Some(universe.version(version).number))
    {
        found.push(version);
    }
    for provider in &universe.package(alternative.target).providers {
        let package = universe.version(provider.version).package;
        if !is_ignored(package)
            && marking.candidate(package) == Some(provider.version)
            && alternative.accepts(provider.provided_version)
        {
            found.push(provider.version);
        }
    }
    found
}

/// Orders the providers of one name: the better one is less.
fn compare(
    marking: &Marking<'_, '_>,
    target: PackageId,
    left: VersionId,
    right: VersionId,
) -> Ordering {
    let rank = |version: VersionId| {
        let version = marking.universe.version(version);
        let package = marking.universe.package(version.package);
        (
            Reverse(marking.state(version.package).is_protected),
            Reverse(version.package == target),
            Reverse(package.is_essential),
            Reverse(package.is_important),
            version.priority,
            // apt prefers the name it met last.
            Reverse(version.package),
        )
    };
    rank(left).cmp(&rank(right))
}
