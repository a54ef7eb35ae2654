//! Drops packages that were marked on the way to a dead end and that nothing needs.

use super::marking::Marking;
use crate::deb::universe::{DependencyKind, PackageId, VersionId};

/// Unmarks everything that cannot be reached from the packages asked for.
///
/// apt counts recommended and suggested packages as needed here, even when it does not install them for that reason.
pub(super) fn remove(marking: &mut Marking<'_, '_>) {
    let mut reached = vec![false; marking.universe.package_ids().count()];
    let mut open: Vec<(PackageId, VersionId)> = marking
        .chosen()
        .filter(|&(id, _)| {
            let package = marking.universe.package(id);
            !marking.state(id).is_automatic || package.is_essential || package.is_important
        })
        .collect();
    while let Some((id, version)) = open.pop() {
        if !std::mem::replace(&mut reached[id.0 as usize], true) {
            open.extend(needed(marking, version));
        }
    }
    let orphans: Vec<PackageId> = marking
        .chosen()
        .map(|(id, _)| id)
        .filter(|id| !reached[id.0 as usize])
        .collect();
    for id in orphans {
        marking.mark_delete(id);
    }
}

fn needed(marking: &Marking<'_, '_>, version: VersionId) -> Vec<(PackageId, VersionId)> {
    let universe = marking.universe;
    let mut found = Vec::new();
    for dependency in universe.dependencies(version) {
        if matches!(
            dependency.kind,
            DependencyKind::Conflicts | DependencyKind::Breaks
        ) {
            continue;
        }
        for alternative in universe.alternatives(dependency) {
            let target = alternative.target;
            if let Some(chosen) = marking.state(target).install
                && alternative.accepts(Some(universe.version(chosen).number))
            {
                found.push((target, chosen));
            }
            for provider in &universe.package(target).providers {
                let package = universe.version(provider.version).package;
                let is_chosen = marking.state(package).install == Some(provider.version);
                if is_chosen && alternative.accepts(provider.provided_version) {
                    found.push((package, provider.version));
                }
            }
        }
    }
    found
}
