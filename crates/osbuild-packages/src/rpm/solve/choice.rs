//! Packages that have been chosen, and what each was chosen for.

mod conflicts;
mod order;

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::universe::Universe;
use crate::rpm::dependency::Requirement;
use crate::rpm::repository::Available;

/// What a package was chosen for.
struct Reason {
    /// The package that needs it; none for what was asked for.
    needed_by: Option<usize>,
    /// Whether others would have done.
    had_alternatives: bool,
}

/// Why a choice does not work.
pub(super) struct Failed {
    /// The sentence for it.
    pub(super) reason: String,
    /// The package that cannot be installed; none for one that was asked for.
    pub(super) package: Option<usize>,
    /// The packages that are in the way.
    in_the_way: Vec<usize>,
}

/// Packages that have been chosen.
pub(super) struct Choice<'a> {
    universe: &'a Universe,
    forbidden: BTreeSet<usize>,
    chosen: IndexMap<usize, Reason>,
}

/// Something that has to be chosen.
struct Need<'a> {
    /// What is needed by whom, in words.
    what: String,
    /// The name that is needed, where it is one.
    name: Option<&'a str>,
    /// The package that needs it; none for what was asked for.
    needed_by: Option<usize>,
}

/// How a requirement stands.
enum State<'a> {
    /// It is met.
    Met,
    /// One of these has to be chosen, for this part of it.
    Open(&'a Requirement, Vec<usize>),
}

impl<'a> Choice<'a> {
    pub(super) fn new(universe: &'a Universe, forbidden: BTreeSet<usize>) -> Self {
        Self {
            universe,
            forbidden,
            chosen: IndexMap::new(),
        }
    }

    /// The chosen packages by name.
    pub(super) fn packages(&self) -> Vec<&'a Available> {
        let ids = self.chosen.keys();
        let mut packages: Vec<_> = ids.map(|id| self.universe.package(*id)).collect();
        packages.sort_by(|one, other| one.name.cmp(&other.name));
        packages
    }

    /// Chooses what is asked for (for each spec, one of its candidates) and all that is needed.
    pub(super) fn choose(&mut self, specs: &[String], wanted: &[Vec<usize>]) -> Result<(), Failed> {
        for (spec, candidates) in specs.iter().zip(wanted) {
            if candidates.iter().any(|id| self.chosen.contains_key(id)) {
                continue;
            }
            let need = Need {
                what: format!("`{spec}` is asked for"),
                name: None,
                needed_by: None,
            };
            self.add(candidates, &need)?;
        }
        loop {
            self.add_what_has_no_alternative()?;
            if !self.add_for_first_open()? && !self.settle_rich_conflicts()? {
                return Ok(());
            }
        }
    }

    /// Chooses all that only one package can be, before that rules out what is better elsewhere.
    fn add_what_has_no_alternative(&mut self) -> Result<(), Failed> {
        let universe = self.universe;
        loop {
            let before = self.chosen.len();
            let mut at = 0;
            while let Some((&id, _)) = self.chosen.get_index(at) {
                for requirement in &universe.package(id).requires {
                    if let State::Open(part, candidates) = self.state(requirement)
                        && self.fitting(&candidates).len() <= 1
                    {
                        self.add(&candidates, &self.need(id, part))?;
                    }
                }
                at += 1;
            }
            // What one says of packages that are there may become true later, so all are asked until nothing changes.
            if self.chosen.len() == before {
                return Ok(());
            }
        }
    }

    /// Chooses one package for the first requirement that is not met; tells whether there was one.
    fn add_for_first_open(&mut self) -> Result<bool, Failed> {
        let universe = self.universe;
        for id in self.chosen.keys().copied().collect::<Vec<usize>>() {
            for requirement in &universe.package(id).requires {
                if let State::Open(part, candidates) = self.state(requirement) {
                    self.add(&candidates, &self.need(id, part))?;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn need(&self, id: usize, part: &'a Requirement) -> Need<'a> {
        let name = &self.universe.package(id).name;
        Need {
            what: format!("`{name}` needs `{}`", describe(part)),
            name: match part {
                Requirement::Capability(need) => Some(&need.name),
                _ => None,
            },
            needed_by: Some(id),
        }
    }

    /// Those that are not forbidden and not in conflict with what is chosen.
    fn fitting(&self, candidates: &[usize]) -> Vec<usize> {
        let candidates = candidates.iter().copied();
        candidates
            .filter(|id| !self.forbidden.contains(id) && self.in_the_way_of(*id).is_none())
            .collect()
    }

    /// Whether a requirement is met, and by what else it could be.
    fn state(&self, requirement: &'a Requirement) -> State<'a> {
        match requirement {
            Requirement::All(parts) => {
                let mut states = parts.iter().map(|part| self.state(part));
                states
                    .find(|state| matches!(state, State::Open(..)))
                    .unwrap_or(State::Met)
            }
            Requirement::If(pair, otherwise) => {
                if self.is_met(&pair[1]) {
                    return self.state(&pair[0]);
                }
                let otherwise = otherwise.as_deref().map(|part| self.state(part));
                match otherwise.unwrap_or(State::Met) {
                    State::Met => State::Met,
                    // That the condition comes true would do as well.
                    State::Open(part, mut candidates) => {
                        candidates.extend(self.universe.satisfying(&pair[1]));
                        State::Open(part, candidates)
                    }
                }
            }
            Requirement::Unless(pair, otherwise) => {
                if self.is_met(&pair[1]) {
                    otherwise
                        .as_ref()
                        .map_or(State::Met, |part| self.state(part))
                } else {
                    self.state(&pair[0])
                }
            }
            Requirement::Any(parts) => {
                if parts.iter().any(|part| self.is_met(part)) {
                    return State::Met;
                }
                let candidates = self.universe.satisfying(requirement);
                match parts.first() {
                    // Only alternatives of several packages each: the first of them is taken.
                    Some(first) if candidates.is_empty() => self.state(first),
                    _ => State::Open(requirement, candidates),
                }
            }
            Requirement::Capability(_) | Requirement::With(_) | Requirement::Without(_) => {
                let candidates = self.universe.satisfying(requirement);
                if candidates.iter().any(|id| self.chosen.contains_key(id)) {
                    State::Met
                } else {
                    State::Open(requirement, candidates)
                }
            }
        }
    }

    fn is_met(&self, requirement: &'a Requirement) -> bool {
        matches!(self.state(requirement), State::Met)
    }

    /// Chooses the best candidate that is not in conflict with what is chosen.
    fn add(&mut self, candidates: &[usize], need: &Need<'_>) -> Result<(), Failed> {
        let allowed = candidates.iter().copied();
        let allowed: Vec<usize> = allowed.filter(|id| !self.forbidden.contains(id)).collect();
        let fitting = self.without_replaced(self.fitting(&allowed));
        let best = match fitting.as_slice() {
            [only] => Some(*only),
            several => {
                let several = several.iter().copied();
                several.min_by(|one, other| self.order(*one, *other, need))
            }
        };
        let Some(best) = best else {
            return Err(self.failure(candidates, &allowed, need));
        };
        let reason = Reason {
            needed_by: need.needed_by,
            had_alternatives: allowed.len() > 1,
        };
        self.chosen.insert(best, reason);
        Ok(())
    }

    fn failure(&self, candidates: &[usize], allowed: &[usize], need: &Need<'_>) -> Failed {
        let name_of = |id: usize| &self.universe.package(id).name;
        let in_the_way = allowed.iter().copied();
        let in_the_way: Vec<usize> = in_the_way.filter_map(|id| self.in_the_way_of(id)).collect();
        let rest = match (allowed.first(), in_the_way.first()) {
            (Some(candidate), Some(other)) => format!(
                ", but `{}` cannot be installed beside `{}`",
                name_of(*candidate),
                name_of(*other)
            ),
            _ if candidates.is_empty() => ", which no package provides".to_owned(),
            _ => ", which only packages that are left out provide".to_owned(),
        };
        Failed {
            reason: format!("{}{rest}", need.what),
            package: need.needed_by,
            in_the_way,
        }
    }

    /// A package whose choice led to a failure and that others can stand in for.
    pub(super) fn avoidable(&self, failed: &Failed) -> Option<usize> {
        let starts = failed
            .package
            .into_iter()
            .chain(failed.in_the_way.iter().copied());
        starts
            .flat_map(|start| self.way_to(start))
            .find(|id| self.chosen[id].had_alternatives)
    }

    /// A package and those that it was chosen for, up to one that was asked for.
    fn way_to(&self, start: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(start), |id| {
            self.chosen.get(id).and_then(|reason| reason.needed_by)
        })
    }

    /// Sentences that lead from a package that was asked for to this one.
    pub(super) fn reasons(&self, package: Option<usize>) -> Vec<String> {
        let way: Vec<usize> = package.into_iter().flat_map(|id| self.way_to(id)).collect();
        let steps = way.windows(2).rev();
        let name_of = |id: usize| &self.universe.package(id).name;
        steps
            .map(|step| format!("`{}` needs `{}`", name_of(step[1]), name_of(step[0])))
            .collect()
    }
}

/// A requirement in words.
fn describe(requirement: &Requirement) -> String {
    match requirement {
        Requirement::Capability(need) => need.to_string(),
        Requirement::All(parts) => joined(parts, " and "),
        Requirement::Any(parts) => joined(parts, " or "),
        Requirement::With(parts) => joined(parts, " with "),
        Requirement::Without(pair) => joined(pair.as_slice(), " without "),
        Requirement::If(pair, _) => joined(pair.as_slice(), " if "),
        Requirement::Unless(pair, _) => joined(pair.as_slice(), " unless "),
    }
}

fn joined(parts: &[Requirement], word: &str) -> String {
    let parts: Vec<String> = parts.iter().map(describe).collect();
    parts.join(word)
}
