//! Marks packages for installation and, greedily, what they need.
//!
//! This is apt's behaviour for a root in which nothing is installed yet, so there are no upgrades, no removals and no
//! holds: a package is marked or it is not. What looks odd here is kept because it decides which packages apt picks:
//! marks made on the way to a dead end stay, candidates once found wanting are never tried again, and a dependency
//! goes on believing in a lost candidate until its target is touched ([`PackageState::lost`]).

use super::providers;
use crate::deb::universe::{Alternative, Dependency, PackageId, Universe, VersionId};

/// apt's limit for the depth of the recursion.
const DEEPEST: usize = 3000;

/// Whether marking a package also marks what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dependencies {
    Install,
    Leave,
}

/// Who asked for a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    ByUser,
    ByDependency,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PackageState {
    /// The version that may be installed.
    pub(super) candidate: Option<VersionId>,
    /// The version that will be installed.
    pub(super) install: Option<VersionId>,
    pub(super) is_marked: bool,
    pub(super) is_protected: bool,
    pub(super) is_automatic: bool,
    /// The candidate that was given up, and when.
    lost: Option<(VersionId, u32)>,
    /// When the dependencies on this name were last looked at.
    looked_at: u32,
}

/// The state of all packages while choosing.
pub(super) struct Marking<'universe, 'text> {
    pub(super) universe: &'universe Universe<'text>,
    packages: Vec<PackageState>,
    clock: u32,
}

impl<'universe, 'text> Marking<'universe, 'text> {
    pub(super) fn new(
        universe: &'universe Universe<'text>,
        candidates: Vec<Option<VersionId>>,
    ) -> Self {
        let packages = candidates
            .into_iter()
            .map(|candidate| PackageState {
                candidate,
                ..PackageState::default()
            })
            .collect();
        Self {
            universe,
            packages,
            clock: 0,
        }
    }

    pub(super) fn state(&self, id: PackageId) -> &PackageState {
        &self.packages[id.0 as usize]
    }

    fn state_mut(&mut self, id: PackageId) -> &mut PackageState {
        &mut self.packages[id.0 as usize]
    }

    pub(super) fn candidate(&self, id: PackageId) -> Option<VersionId> {
        self.state(id).candidate
    }

    /// The chosen versions, in the order of their packages.
    pub(super) fn chosen(&self) -> impl Iterator<Item = (PackageId, VersionId)> {
        self.universe
            .package_ids()
            .filter_map(|id| self.state(id).install.map(|version| (id, version)))
    }

    pub(super) fn set_candidate(&mut self, id: PackageId, version: VersionId) {
        self.state_mut(id).candidate = Some(version);
        self.look_at(id);
    }

    pub(super) fn protect(&mut self, id: PackageId) {
        self.state_mut(id).is_protected = true;
    }

    /// Packages that will be installed although something they need is missing or in their way.
    pub(super) fn broken(&self) -> impl Iterator<Item = PackageId> {
        self.universe.package_ids().filter(|&id| self.is_broken(id))
    }

    pub(super) fn is_broken(&self, id: PackageId) -> bool {
        let Some(version) = self.state(id).install else {
            return false;
        };
        self.universe
            .dependencies(version)
            .iter()
            .any(|dependency| dependency.kind.is_critical() && !self.is_respected(id, dependency))
    }

    /// Whether a dependency holds among the packages that will be installed.
    pub(super) fn is_respected(&self, owner: PackageId, dependency: &Dependency) -> bool {
        let met = self
            .universe
            .alternatives(dependency)
            .iter()
            .any(|alternative| self.meets(owner, dependency, alternative, |state| state.install));
        met != dependency.kind.is_negative()
    }

    /// Whether a version that `pick` selects is what an alternative speaks of.
    pub(super) fn meets(
        &self,
        owner: PackageId,
        dependency: &Dependency,
        alternative: &Alternative<'text>,
        pick: impl Fn(&PackageState) -> Option<VersionId>,
    ) -> bool {
        let is_negative = dependency.kind.is_negative();
        let target = alternative.target;
        // A package never conflicts with itself or with what it provides itself.
        if !(is_negative && target == owner)
            && let Some(version) = pick(self.state(target))
            && alternative.accepts(Some(self.universe.version(version).number))
        {
            return true;
        }
        self.universe
            .package(target)
            .providers
            .iter()
            .any(|provider| {
                let package = self.universe.version(provider.version).package;
                !(is_negative && package == owner)
                    && pick(self.state(package)) == Some(provider.version)
                    && alternative.accepts(provider.provided_version)
            })
    }

    /// Marks a package, and says whether that led to something that works.
    pub(super) fn mark_install(
        &mut self,
        id: PackageId,
        dependencies: Dependencies,
        depth: usize,
        asked: Asked,
    ) -> bool {
        let before = *self.state(id);
        let may_change = asked == Asked::ByUser || before.is_marked || !before.is_protected;
        let Some(version) = before.candidate else {
            return false;
        };
        if depth > DEEPEST || !may_change {
            return false;
        }
        if !before.is_protected && before.is_marked && !self.is_broken(id) {
            return true;
        }
        let follow = dependencies == Dependencies::Install;
        if follow && !self.needs_exist(id, version) {
            return false;
        }
        if asked == Asked::ByUser {
            self.mark(id, asked);
        }
        if !follow {
            self.mark(id, asked);
            return true;
        }
        self.mark_following(id, version, depth, asked)
    }

    /// Marks a package and follows its dependencies.
    fn mark_following(
        &mut self,
        id: PackageId,
        version: VersionId,
        depth: usize,
        asked: Asked,
    ) -> bool {
        let was_protected = self.state(id).is_protected;
        let gives_up = !was_protected && asked != Asked::ByUser;
        let universe = self.universe;
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        for dependency in universe.dependencies(version) {
            let is_open = was_protected || !self.is_respected(id, dependency);
            match (
                is_open && dependency.kind.is_critical(),
                dependency.kind.is_negative(),
            ) {
                (true, true) => unwanted.push(dependency),
                (true, false) => wanted.push(dependency),
                (false, _) => {}
            }
        }
        let mut works = self.keep_out(id, &unwanted, was_protected, gives_up);
        if !works && gives_up {
            return false;
        }
        if asked != Asked::ByUser {
            self.mark(id, asked);
        }
        self.state_mut(id).is_protected = true;
        works &= self.install_wanted(id, &wanted, was_protected, gives_up, depth);
        if !works && gives_up {
            self.give_up(id);
        }
        self.state_mut(id).is_protected = was_protected;
        works
    }

    /// Whether every need of a version could be met by some candidate; if not, the version is given up.
    fn needs_exist(&mut self, id: PackageId, version: VersionId) -> bool {
        let universe = self.universe;
        let missing = universe.dependencies(version).iter().any(|dependency| {
            dependency.kind.is_critical()
                && !dependency.kind.is_negative()
                && !self.is_respected(id, dependency)
                && !universe
                    .alternatives(dependency)
                    .iter()
                    .any(|alternative| self.is_believed_in(id, dependency, alternative))
        });
        if missing && !self.state(id).is_protected {
            self.lose_candidate(id, None);
            self.state_mut(id).is_marked = false;
        }
        !missing
    }

    /// Whether a candidate meets an alternative, or one did when the alternative's target was last looked at.
    fn is_believed_in(
        &self,
        owner: PackageId,
        dependency: &Dependency,
        alternative: &Alternative<'text>,
    ) -> bool {
        let looked_at = self.state(alternative.target).looked_at;
        self.meets(owner, dependency, alternative, |state| state.candidate)
            || self.meets(owner, dependency, alternative, |state| {
                state
                    .lost
                    .filter(|&(_, when)| when > looked_at)
                    .map(|(version, _)| version)
            })
    }

    /// Unmarks what a package conflicts with; a protected package also takes away the others' chance.
    fn keep_out(
        &mut self,
        id: PackageId,
        unwanted: &[&Dependency],
        was_protected: bool,
        gives_up: bool,
    ) -> bool {
        let mut works = true;
        for dependency in unwanted {
            for version in providers::solutions(self, id, dependency, providers::Order::BestFirst) {
                let other = self.universe.version(version).package;
                if self.state(other).candidate != Some(version) {
                    continue;
                }
                if self.state(other).is_marked && !self.mark_keep(other) {
                    works = false;
                    if gives_up {
                        return false;
                    }
                } else if was_protected {
                    let install = self.state(other).install;
                    self.lose_candidate(other, install);
                    self.protect(other);
                }
            }
        }
        works
    }

    fn install_wanted(
        &mut self,
        id: PackageId,
        wanted: &[&Dependency],
        was_protected: bool,
        gives_up: bool,
        depth: usize,
    ) -> bool {
        let mut works = true;
        for dependency in wanted {
            let fits = if self.is_respected(id, dependency) {
                !was_protected || self.protect_only_solution(id, dependency, depth)
            } else {
                self.install_first_that_works(id, dependency, was_protected, depth)
            };
            works &= fits;
            if !works && gives_up {
                break;
            }
        }
        works
    }

    /// What a protected package needs and only one package can give is protected too.
    fn protect_only_solution(
        &mut self,
        id: PackageId,
        dependency: &Dependency,
        depth: usize,
    ) -> bool {
        let solutions = providers::solutions(self, id, dependency, providers::Order::AsNumbered);
        let [only] = solutions[..] else { return true };
        let package = self.universe.version(only).package;
        if self.state(package).is_protected {
            return true;
        }
        self.protect(package);
        self.mark_install(
            package,
            Dependencies::Install,
            depth + 1,
            Asked::ByDependency,
        )
    }

    fn install_first_that_works(
        &mut self,
        id: PackageId,
        dependency: &Dependency,
        was_protected: bool,
        depth: usize,
    ) -> bool {
        let solutions = providers::solutions(self, id, dependency, providers::Order::BestFirst);
        let is_only = solutions.len() == 1;
        for version in solutions {
            let package = self.universe.version(version).package;
            if self.state(package).candidate != Some(version) {
                continue;
            }
            if was_protected && is_only {
                if !self.mark_install(package, Dependencies::Leave, depth + 1, Asked::ByDependency)
                {
                    continue;
                }
                self.protect(package);
            }
            if self.mark_install(
                package,
                Dependencies::Install,
                depth + 1,
                Asked::ByDependency,
            ) {
                return true;
            }
        }
        false
    }

    fn mark(&mut self, id: PackageId, asked: Asked) {
        let state = self.state_mut(id);
        if state.is_protected && state.install == state.candidate {
            return;
        }
        state.is_marked = true;
        state.install = state.candidate;
        state.is_automatic = asked == Asked::ByDependency;
        self.look_at(id);
    }

    /// Unmarks a package; refused for protected ones.
    pub(super) fn mark_keep(&mut self, id: PackageId) -> bool {
        let state = self.state_mut(id);
        if !state.is_marked {
            return true;
        }
        if state.is_protected {
            return false;
        }
        state.is_marked = false;
        state.install = None;
        self.look_at(id);
        true
    }

    /// Unmarks a package unless it was asked for or the system cannot do without it.
    pub(super) fn mark_delete(&mut self, id: PackageId) -> bool {
        let package = self.universe.package(id);
        let state = self.state(id);
        if state.is_protected || package.is_essential || package.is_important {
            return false;
        }
        if state.install.is_none() {
            return true;
        }
        if !state.is_automatic {
            return false;
        }
        let state = self.state_mut(id);
        state.is_marked = false;
        state.install = None;
        self.look_at(id);
        true
    }

    fn give_up(&mut self, id: PackageId) {
        let state = self.state_mut(id);
        state.install = None;
        state.is_marked = false;
        self.look_at(id);
        self.lose_candidate(id, None);
    }

    fn lose_candidate(&mut self, id: PackageId, instead: Option<VersionId>) {
        self.clock += 1;
        let now = self.clock;
        let state = self.state_mut(id);
        if let Some(old) = state.candidate.filter(|&old| Some(old) != instead) {
            state.lost = Some((old, now));
        }
        state.candidate = instead;
    }

    /// Lets the dependencies on a package, and on all it provides, see how it stands now.
    fn look_at(&mut self, id: PackageId) {
        self.clock += 1;
        let now = self.clock;
        self.state_mut(id).looked_at = now;
        if let Some(candidate) = self.state(id).candidate {
            for &provided in &self.universe.version(candidate).provides {
                self.state_mut(provided).looked_at = now;
            }
        }
    }
}
