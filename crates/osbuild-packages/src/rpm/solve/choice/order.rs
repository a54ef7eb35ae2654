//! Which of several packages is chosen: in the order of libsolv, by which dnf chooses.

use std::cmp::Ordering;

use super::{Choice, Need};

impl Choice<'_> {
    /// Leaves out what others of the same candidates take the place of.
    pub(super) fn without_replaced(&self, candidates: Vec<usize>) -> Vec<usize> {
        let is_replaced = |id: usize| {
            let mut others = candidates.iter();
            others.any(|other| self.universe.obsoletes(*other, id))
        };
        let kept = candidates.iter().copied();
        let kept: Vec<usize> = kept.filter(|id| !is_replaced(*id)).collect();
        // Some take each other's place.
        if kept.is_empty() { candidates } else { kept }
    }

    /// The order of candidates, the best first.
    pub(super) fn order(&self, one: usize, other: usize, need: &Need<'_>) -> Ordering {
        let name = |id: usize| self.universe.package(id).name.as_str();
        // Those of one name are sorted by age.
        let age = |id: usize| {
            let mut same = self.universe.named(name(id)).iter();
            same.position(|other| *other == id)
        };
        let is_old = |id: usize| age(id) != Some(0);
        self.is_recommended(other)
            .cmp(&self.is_recommended(one))
            .then_with(|| is_old(one).cmp(&is_old(other)))
            .then_with(|| self.by_provided_version(one, other, need))
            .then_with(|| name(one).cmp(name(other)))
            .then_with(|| age(one).cmp(&age(other)))
    }

    fn is_recommended(&self, id: usize) -> bool {
        self.chosen.keys().any(|chosen| {
            let mut weak = self.universe.package(*chosen).weak.iter();
            weak.any(|requirement| self.universe.is_satisfied_by(id, requirement))
        })
    }

    /// The highest version of what is needed comes first, whatever the versions of the packages.
    fn by_provided_version(&self, one: usize, other: usize, need: &Need<'_>) -> Ordering {
        let provided = |id: usize| {
            let mut provides = self.universe.package(id).provides.iter();
            provides
                .find(|capability| Some(capability.name.as_str()) == need.name)
                .and_then(|capability| capability.range.as_ref())
        };
        match (provided(one), provided(other)) {
            (Some(one), Some(other)) => other.evr.compare(&one.evr),
            _ => Ordering::Equal,
        }
    }
}
