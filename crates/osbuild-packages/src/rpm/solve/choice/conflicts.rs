//! What cannot be installed together.

use super::{Choice, Failed, describe};
use crate::rpm::dependency::Requirement;
use crate::rpm::repository::Available;

impl Choice<'_> {
    /// A chosen package that another cannot be installed beside.
    pub(super) fn in_the_way_of(&self, id: usize) -> Option<usize> {
        let mut chosen = self.chosen.keys().copied();
        chosen.find(|other| self.exclude_each_other(id, *other))
    }

    fn exclude_each_other(&self, one: usize, other: usize) -> bool {
        if one == other {
            return false;
        }
        let (first, second) = (self.universe.package(one), self.universe.package(other));
        let refuses = |package: &Available, id: usize| {
            let mut conflicts = package.conflicts.iter();
            conflicts.any(|conflict| self.universe.is_satisfied_by(id, conflict))
        };
        first.name == second.name
            || refuses(first, other)
            || refuses(second, one)
            || self.universe.obsoletes(one, other)
            || self.universe.obsoletes(other, one)
    }

    /// Looks for conflicts that are about several packages; others were looked at when each was chosen.
    ///
    /// What a conflict makes an exception of is chosen; tells whether anything was.
    pub(super) fn settle_rich_conflicts(&mut self) -> Result<bool, Failed> {
        let universe = self.universe;
        for id in self.chosen.keys().copied().collect::<Vec<usize>>() {
            let package = universe.package(id);
            for conflict in &package.conflicts {
                if !self.holds(conflict, id) {
                    continue;
                }
                if let Requirement::Unless(pair, None) = conflict {
                    let candidates = universe.satisfying(&pair[1]);
                    self.add(&candidates, &self.need(id, &pair[1]))?;
                    return Ok(true);
                }
                return Err(Failed {
                    reason: format!("`{}` conflicts with `{}`", package.name, describe(conflict)),
                    package: Some(id),
                    in_the_way: self.chosen_of(conflict, id),
                });
            }
        }
        Ok(false)
    }

    /// Whether what a conflict says is so, by packages other than the one that has it.
    fn holds(&self, conflict: &Requirement, owner: usize) -> bool {
        match conflict {
            Requirement::All(parts) => parts.iter().all(|part| self.holds(part, owner)),
            Requirement::Any(parts) => parts.iter().any(|part| self.holds(part, owner)),
            Requirement::If(pair, otherwise) => {
                if self.holds(&pair[1], owner) {
                    self.holds(&pair[0], owner)
                } else {
                    let mut otherwise = otherwise.iter();
                    otherwise.any(|part| self.holds(part, owner))
                }
            }
            Requirement::Unless(pair, otherwise) => {
                if self.holds(&pair[1], owner) {
                    let mut otherwise = otherwise.iter();
                    otherwise.any(|part| self.holds(part, owner))
                } else {
                    self.holds(&pair[0], owner)
                }
            }
            Requirement::Capability(_) | Requirement::With(_) | Requirement::Without(_) => {
                !self.chosen_of(conflict, owner).is_empty()
            }
        }
    }

    /// The chosen packages that a conflict names, but for its owner.
    fn chosen_of(&self, conflict: &Requirement, owner: usize) -> Vec<usize> {
        let ids = match conflict {
            Requirement::All(parts) => {
                let ids = parts.iter().flat_map(|part| self.chosen_of(part, owner));
                return ids.collect();
            }
            Requirement::If(pair, _) | Requirement::Unless(pair, _) => {
                return self.chosen_of(&pair[0], owner);
            }
            other => self.universe.satisfying(other),
        };
        let chosen = ids.into_iter().filter(|id| self.chosen.contains_key(id));
        chosen.filter(|id| *id != owner).collect()
    }
}
