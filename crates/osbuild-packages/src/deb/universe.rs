//! Every package that the indices offer, and what each needs, in the order apt would number them.
//!
//! apt breaks the last tie between two providers by the order in which it first met their names, be it as a package
//! or as the target of a dependency. [`PackageId`]s are therefore given out in exactly that order.

use std::{borrow::Cow, collections::HashMap};

use anyhow::{Context, Result};

use super::{
    control::{Stanza, stanzas},
    relation::{Relation, relations},
    repository::PackageIndex,
    version::{self, Operator},
};

mod read_stanza;
use read_stanza::Facts;

/// The package that apt treats as essential although its index does not say so.
const ALWAYS_ESSENTIAL: &str = "apt";

/// A package name, real or virtual; the number tells when the name was first met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageId(pub(super) u32);

/// One version of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VersionId(pub(super) u32);

/// The kind of a dependency, in the order apt reads the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DependencyKind {
    PreDepends,
    Depends,
    Conflicts,
    Breaks,
    Recommends,
    Suggests,
}

impl DependencyKind {
    pub(super) fn is_negative(self) -> bool {
        matches!(self, Self::Conflicts | Self::Breaks)
    }

    /// Whether a package cannot work without it being respected.
    pub(super) fn is_critical(self) -> bool {
        !matches!(self, Self::Recommends | Self::Suggests)
    }

    /// The verb of a sentence about this dependency.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::PreDepends => "pre-depends on",
            Self::Depends => "depends on",
            Self::Conflicts => "conflicts with",
            Self::Breaks => "breaks",
            Self::Recommends => "recommends",
            Self::Suggests => "suggests",
        }
    }
}

/// A dependency: one of its alternatives must hold, or its only one must not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dependency {
    pub(super) kind: DependencyKind,
    alternatives: (u32, u32),
}

/// One alternative of a dependency.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alternative<'text> {
    pub(super) target: PackageId,
    pub(super) constraint: Option<(Operator, &'text str)>,
}

impl Alternative<'_> {
    pub(super) fn accepts(&self, version: Option<&str>) -> bool {
        match (self.constraint, version) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some((operator, bound)), Some(version)) => operator.accepts(version, bound),
        }
    }
}

/// A version that provides a package name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Provider<'text> {
    pub(super) version: VersionId,
    pub(super) provided_version: Option<&'text str>,
}

#[derive(Debug, Default)]
pub(super) struct Package<'text> {
    /// Newest first.
    pub(super) versions: Vec<VersionId>,
    pub(super) providers: Vec<Provider<'text>>,
    pub(super) is_essential: bool,
    pub(super) is_important: bool,
}

#[derive(Debug)]
pub(super) struct Version<'text> {
    pub(super) package: PackageId,
    pub(super) number: &'text str,
    pub(super) priority: Priority,
    pub(super) provides: Vec<PackageId>,
    pub(super) index: u32,
    stanza: Stanza<'text>,
    dependencies: (u32, u32),
}

/// How important the distribution says a package is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// The index does not say.
    Unset,
    /// Needed for dpkg to work.
    Required,
    /// Expected on every Unix.
    Important,
    /// Part of a default text-mode system.
    Standard,
    /// Everything else.
    Optional,
    /// Obsolete word for optional.
    Extra,
}

impl Priority {
    fn parse(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "" => Self::Unset,
            "required" => Self::Required,
            "important" => Self::Important,
            "standard" => Self::Standard,
            "optional" => Self::Optional,
            _ => Self::Extra,
        }
    }
}

/// All packages of some indices, borrowing from their text.
#[derive(Debug)]
pub struct Universe<'text> {
    architecture: String,
    indices: &'text [PackageIndex],
    names: HashMap<Cow<'text, str>, PackageId>,
    spelled: Vec<Cow<'text, str>>,
    packages: Vec<Package<'text>>,
    versions: Vec<Version<'text>>,
    dependencies: Vec<Dependency>,
    alternatives: Vec<Alternative<'text>>,
}

impl<'text> Universe<'text> {
    /// Reads the indices, in the order of the host's sources, for one architecture.
    pub fn read(indices: &'text [PackageIndex], architecture: &str) -> Result<Self> {
        let mut universe = Self {
            architecture: architecture.to_owned(),
            indices,
            names: HashMap::new(),
            spelled: Vec::new(),
            packages: Vec::new(),
            versions: Vec::new(),
            dependencies: Vec::new(),
            alternatives: Vec::new(),
        };
        for (number, index) in indices.iter().enumerate() {
            for stanza in stanzas(&index.text) {
                universe
                    .add_stanza(number as u32, stanza)
                    .with_context(|| format!("reading the package index {}", index.origin.url))?;
            }
        }
        universe.provide_qualified_names();
        Ok(universe)
    }

    /// The architecture that packages are chosen for.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// How many versions of packages there are to choose from.
    pub fn version_count(&self) -> usize {
        self.versions.len()
    }

    /// The names of all packages that exist, in no particular order.
    pub fn package_names(&self) -> impl Iterator<Item = &str> {
        self.packages
            .iter()
            .zip(&self.spelled)
            .filter(|(package, _)| !package.versions.is_empty())
            .map(|(_, name)| name.as_ref())
    }

    pub(super) fn indices(&self) -> &'text [PackageIndex] {
        self.indices
    }

    pub(super) fn find(&self, name: &str) -> Option<PackageId> {
        self.names.get(name).copied()
    }

    pub(super) fn package_ids(&self) -> impl Iterator<Item = PackageId> + use<> {
        (0..self.packages.len() as u32).map(PackageId)
    }

    pub(super) fn package(&self, id: PackageId) -> &Package<'text> {
        &self.packages[id.0 as usize]
    }

    pub(super) fn name(&self, id: PackageId) -> &str {
        &self.spelled[id.0 as usize]
    }

    pub(super) fn version(&self, id: VersionId) -> &Version<'text> {
        &self.versions[id.0 as usize]
    }

    pub(super) fn stanza(&self, id: VersionId) -> Stanza<'text> {
        self.version(id).stanza
    }

    pub(super) fn dependencies(&self, id: VersionId) -> &[Dependency] {
        let (start, end) = self.version(id).dependencies;
        &self.dependencies[start as usize..end as usize]
    }

    pub(super) fn alternatives(&self, dependency: &Dependency) -> &[Alternative<'text>] {
        let (start, end) = dependency.alternatives;
        &self.alternatives[start as usize..end as usize]
    }

    fn intern(&mut self, name: Cow<'text, str>) -> PackageId {
        if let Some(&id) = self.names.get(&name) {
            return id;
        }
        let id = PackageId(self.packages.len() as u32);
        self.spelled.push(name.clone());
        self.packages.push(Package::default());
        self.names.insert(name, id);
        id
    }

    /// The name a relation is about; `:native` means this architecture, other qualifiers stay part of the name.
    fn target(&mut self, relation: &Relation<'text>) -> PackageId {
        match relation.qualifier {
            Some("native") => {
                let name = format!("{}:{}", relation.name, self.architecture);
                self.intern(Cow::Owned(name))
            }
            _ => self.intern(Cow::Borrowed(relation.full_name)),
        }
    }

    fn add_stanza(&mut self, index: u32, stanza: Stanza<'text>) -> Result<()> {
        let facts = Facts::of(stanza)?;
        let is_ours = facts.architecture == "all" || facts.architecture == self.architecture;
        if !is_ours || facts.version.is_empty() {
            return Ok(());
        }
        let id = self.intern(facts.name.clone());
        let known = self.package(id).versions.iter().any(|&known| {
            self.version(known).number == facts.version
                && self.priority_of(known) >= self.indices[index as usize].origin.pin_priority
        });
        self.mark_package(id, &facts);
        if known {
            return Ok(());
        }
        self.add_version(index, stanza, id, &facts)
            .with_context(|| format!("reading {} {}", facts.name, facts.version))
    }

    fn priority_of(&self, version: VersionId) -> i32 {
        self.indices[self.version(version).index as usize]
            .origin
            .pin_priority
    }

    fn mark_package(&mut self, id: PackageId, facts: &Facts<'text>) {
        let always = facts.name == ALWAYS_ESSENTIAL;
        let package = &mut self.packages[id.0 as usize];
        package.is_essential |= facts.is_essential || always;
        package.is_important |= facts.is_important || always;
    }

    fn add_version(
        &mut self,
        index: u32,
        stanza: Stanza<'text>,
        package: PackageId,
        facts: &Facts<'text>,
    ) -> Result<()> {
        let first = self.dependencies.len() as u32;
        for (kind, field) in facts.dependencies() {
            self.add_dependencies(kind, field)?;
        }
        let dependencies = (first, self.dependencies.len() as u32);
        for field in facts.only_named() {
            for relation in relations(field) {
                self.target(&relation?);
            }
        }
        let id = VersionId(self.versions.len() as u32);
        let provides = self.add_provides(id, package, facts)?;
        self.versions.push(Version {
            package,
            number: facts.version,
            priority: Priority::parse(facts.priority),
            provides,
            index,
            stanza,
            dependencies,
        });
        self.insert_sorted(package, id);
        Ok(())
    }

    /// Keeps versions newest first; of two equal ones the first that was read stays first.
    fn insert_sorted(&mut self, package: PackageId, id: VersionId) {
        let number = self.version(id).number;
        let versions = &self.packages[package.0 as usize].versions;
        let place = versions
            .iter()
            .position(|&other| version::compare(number, self.version(other).number).is_gt())
            .unwrap_or(versions.len());
        self.packages[package.0 as usize].versions.insert(place, id);
    }

    fn add_dependencies(&mut self, kind: DependencyKind, field: &'text str) -> Result<()> {
        let mut start = self.alternatives.len() as u32;
        for relation in relations(field) {
            let relation = relation?;
            let target = self.target(&relation);
            self.alternatives.push(Alternative {
                target,
                constraint: relation.constraint,
            });
            if relation.or_next && !kind.is_negative() {
                continue;
            }
            let end = self.alternatives.len() as u32;
            self.dependencies.push(Dependency {
                kind,
                alternatives: (start, end),
            });
            start = end;
        }
        Ok(())
    }

    fn add_provides(
        &mut self,
        id: VersionId,
        package: PackageId,
        facts: &Facts<'text>,
    ) -> Result<Vec<PackageId>> {
        let mut provided = Vec::new();
        for relation in relations(facts.provides) {
            let relation = relation?;
            let version = match relation.constraint {
                None => None,
                Some((Operator::Equal, version)) => Some(version),
                Some(_) => {
                    tracing::warn!(package = %facts.name, "ignoring a `Provides` that is not `=`: {}", relation.full_name);
                    continue;
                }
            };
            let target = self.target(&relation);
            if target != package || version.is_some_and(|version| version != facts.version) {
                provided.push((target, version));
            }
            if facts.allows_any && relation.qualifier.is_none() {
                provided.push((
                    self.intern(format!("{}:any", relation.name).into()),
                    version,
                ));
            }
        }
        if facts.allows_any {
            let any = self.intern(format!("{}:any", facts.name).into());
            provided.push((any, Some(facts.version)));
        }
        for &(target, provided_version) in &provided {
            self.packages[target.0 as usize].providers.push(Provider {
                version: id,
                provided_version,
            });
        }
        Ok(provided.into_iter().map(|(target, _)| target).collect())
    }

    /// Lets `foo` and its providers satisfy `foo:amd64`, where a dependency spells the architecture out.
    fn provide_qualified_names(&mut self) {
        let suffix = format!(":{}", self.architecture);
        for id in self.package_ids() {
            let Some(plain) = self
                .name(id)
                .strip_suffix(&suffix)
                .and_then(|name| self.find(name))
            else {
                continue;
            };
            let mut providers: Vec<Provider<'text>> = self.package(plain).providers.clone();
            for &version in &self.package(plain).versions {
                let provided_version = Some(self.version(version).number);
                providers.push(Provider {
                    version,
                    provided_version,
                });
            }
            for provider in providers {
                self.versions[provider.version.0 as usize].provides.push(id);
                self.packages[id.0 as usize].providers.push(provider);
            }
        }
    }
}
