//! The packages to install together: whether they fit, which come first, whose files replace whose.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Result, bail, ensure};

use crate::deb::archive::Archive;
use crate::deb::relation::{Relation, relations};
use crate::deb::unpack::Precedence;

/// More than this many complaints do not help anybody.
const COMPLAINTS_SHOWN: usize = 20;

/// Packages to install together.
#[derive(Debug)]
pub struct PackageSet {
    archives: Vec<Archive>,
    /// Which of them is dpkg: its architecture is the tree's.
    dpkg: usize,
    /// Each after those it needs, and the place of each there.
    order: Vec<usize>,
    ranks: Vec<usize>,
    /// Packages by name, and by what they provide with the version they say.
    names: HashMap<String, Vec<(usize, Option<String>)>>,
}

impl PackageSet {
    /// Brings packages together, sorted by name; the architecture of `dpkg` is the tree's.
    pub fn new(mut archives: Vec<Archive>) -> Result<Self> {
        archives.sort_by(|one, other| {
            (one.package(), one.architecture()).cmp(&(other.package(), other.architecture()))
        });
        for pair in archives.windows(2) {
            let [one, other] = pair else { continue };
            ensure!(
                (one.package(), one.architecture()) != (other.package(), other.architecture()),
                "the package `{}` is there twice: {} and {}",
                one.package(),
                one.path().display(),
                other.path().display()
            );
        }
        let dpkg = archives
            .iter()
            .position(|archive| archive.package() == "dpkg");
        let Some(dpkg) = dpkg else {
            bail!("the packages do not include `dpkg`, which configures them");
        };
        let ranks = vec![0; archives.len()];
        let mut set = Self {
            archives,
            dpkg,
            order: Vec::new(),
            ranks,
            names: HashMap::new(),
        };
        for (index, archive) in set.archives.iter().enumerate() {
            let own = (index, Some(archive.version().to_owned()));
            set.names
                .entry(archive.package().to_owned())
                .or_default()
                .push(own);
            for provided in relations(archive.stanza().get("Provides").unwrap_or_default()) {
                let provided = provided?;
                let version = provided.constraint.map(|(_, version)| version.to_owned());
                set.names
                    .entry(provided.name.to_owned())
                    .or_default()
                    .push((index, version));
            }
        }
        set.order = set.sort()?;
        for (rank, &index) in set.order.iter().enumerate() {
            set.ranks[index] = rank;
        }
        Ok(set)
    }

    /// The packages, by name.
    pub fn archives(&self) -> &[Archive] {
        &self.archives
    }

    /// The tree's architecture.
    pub fn native(&self) -> &str {
        self.dpkg().architecture()
    }

    /// The package dpkg.
    pub fn dpkg(&self) -> &Archive {
        &self.archives[self.dpkg]
    }

    /// The architectures of all packages.
    pub fn architectures(&self) -> BTreeSet<&str> {
        self.archives.iter().map(Archive::architecture).collect()
    }

    /// Checks that every dependency is met and nothing is in conflict; one error tells them all.
    pub fn check(&self) -> Result<()> {
        let mut complaints = Vec::new();
        for (index, archive) in self.archives.iter().enumerate() {
            for field in ["Pre-Depends", "Depends"] {
                for alternatives in self.clauses(index, field)? {
                    if self.satisfier(index, &alternatives).is_none() {
                        let name = archive.package();
                        complaints.push(format!("`{name}` needs `{}`", show(&alternatives)));
                    }
                }
            }
            for field in ["Conflicts", "Breaks"] {
                for relation in self.clauses(index, field)?.into_iter().flatten() {
                    let others = self.matches(index, &relation, Match::Negative);
                    let other = others
                        .into_iter()
                        .find(|&other| self.archives[other].package() != archive.package());
                    if let Some(other) = other {
                        complaints.push(format!(
                            "`{}` can not be together with `{}`",
                            archive.package(),
                            self.archives[other].package()
                        ));
                    }
                }
            }
        }
        if complaints.is_empty() {
            return Ok(());
        }
        let more = complaints.len().saturating_sub(COMPLAINTS_SHOWN);
        complaints.truncate(COMPLAINTS_SHOWN);
        if more > 0 {
            complaints.push(format!("and {more} more"));
        }
        bail!(
            "the packages do not fit together: {}",
            complaints.join("; ")
        )
    }

    /// Reads a dependency field as clauses, each a list of alternatives.
    fn clauses(&self, index: usize, field: &str) -> Result<Vec<Vec<Relation<'_>>>> {
        let archive = &self.archives[index];
        let mut clauses = Vec::new();
        let mut alternatives = Vec::new();
        for relation in relations(archive.stanza().get(field).unwrap_or_default()) {
            let relation = relation.map_err(|error| {
                error.context(format!("reading `{field}` of `{}`", archive.package()))
            })?;
            let is_last = !relation.or_next;
            alternatives.push(relation);
            if is_last {
                clauses.push(std::mem::take(&mut alternatives));
            }
        }
        Ok(clauses)
    }

    /// The package that meets a clause: of the first alternative that one meets.
    fn satisfier(&self, index: usize, alternatives: &[Relation<'_>]) -> Option<usize> {
        alternatives.iter().find_map(|relation| {
            let found = self.matches(index, relation, Match::Positive);
            // A package of that name before one that provides it.
            let real = found
                .iter()
                .find(|&&other| self.archives[other].package() == relation.name);
            real.or(found.first()).copied()
        })
    }

    fn matches(&self, index: usize, relation: &Relation<'_>, kind: Match) -> Vec<usize> {
        let candidates = self.names.get(relation.name).map_or(&[][..], Vec::as_slice);
        let fits = |(other, version): &&(usize, Option<String>)| {
            let version_fits = match (relation.constraint, version) {
                (None, _) => true,
                (Some((operator, bound)), Some(version)) => operator.accepts(version, bound),
                (Some(_), None) => false,
            };
            version_fits
                && (kind == Match::Negative || self.architecture_fits(index, *other, relation))
        };
        candidates
            .iter()
            .filter(fits)
            .map(|(other, _)| *other)
            .collect()
    }

    fn architecture_fits(&self, index: usize, other: usize, relation: &Relation<'_>) -> bool {
        let multi_arch = self.archives[other]
            .stanza()
            .get("Multi-Arch")
            .unwrap_or("no");
        let (own, theirs) = (self.architecture(index), self.architecture(other));
        match relation.qualifier {
            Some("any") => multi_arch == "allowed" || theirs == own,
            Some("native") => theirs == self.native(),
            Some(architecture) => theirs == architecture,
            None => theirs == own || multi_arch == "foreign",
        }
    }

    /// The architecture of a package; `all` counts as the tree's.
    fn architecture(&self, index: usize) -> &str {
        match self.archives[index].architecture() {
            "all" => self.native(),
            architecture => architecture,
        }
    }

    /// The packages that directly meet the clauses of these fields.
    pub fn needed(&self, index: usize, fields: &[&str]) -> Result<Vec<usize>> {
        let mut needed = Vec::new();
        for field in fields {
            for alternatives in self.clauses(index, field)? {
                needed.extend(self.satisfier(index, &alternatives));
            }
        }
        Ok(needed)
    }

    /// These packages and all they need, transitively.
    pub fn closure(&self, start: impl IntoIterator<Item = usize>) -> Result<BTreeSet<usize>> {
        let mut closure: BTreeSet<usize> = BTreeSet::new();
        let mut queue: Vec<usize> = start.into_iter().collect();
        while let Some(index) = queue.pop() {
            if closure.insert(index) {
                queue.extend(self.needed(index, &["Pre-Depends", "Depends"])?);
            }
        }
        Ok(closure)
    }

    /// The essential packages and all they need: what every other package relies on without saying so.
    pub fn essential(&self) -> Result<BTreeSet<usize>> {
        self.closure((0..self.archives.len()).filter(|&index| self.is_essential(index)))
    }

    fn is_essential(&self, index: usize) -> bool {
        index == self.dpkg || self.archives[index].stanza().get("Essential") == Some("yes")
    }

    /// All packages, each after those it needs, essential ones first; where they need each other, pre-dependencies count more.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// The place of a package in the order.
    pub fn rank(&self, index: usize) -> usize {
        self.ranks[index]
    }

    fn sort(&self) -> Result<Vec<usize>> {
        let mut order = Vec::with_capacity(self.archives.len());
        let mut state = vec![Visit::NotYet; self.archives.len()];
        // Accounts come before anything that belongs to one.
        let first = self
            .archives
            .iter()
            .position(|archive| archive.package() == "base-passwd");
        let (essential, others): (Vec<usize>, Vec<usize>) =
            (0..self.archives.len()).partition(|&index| self.is_essential(index));
        for index in first.into_iter().chain(essential).chain(others) {
            self.visit(index, &mut state, &mut order)?;
        }
        Ok(order)
    }

    fn visit(&self, index: usize, state: &mut [Visit], order: &mut Vec<usize>) -> Result<()> {
        if state[index] != Visit::NotYet {
            return Ok(());
        }
        state[index] = Visit::Begun;
        for needed in self.needed(index, &["Pre-Depends", "Depends"])? {
            self.visit(needed, state, order)?;
        }
        state[index] = Visit::Done;
        order.push(index);
        Ok(())
    }

    /// Whose a path is that the packages of these two ranks have.
    pub fn precedence_of_ranks(&self, later: usize, earlier: usize) -> Precedence {
        let (later, earlier) = (self.order[later], self.order[earlier]);
        let (one, other) = (&self.archives[later], &self.archives[earlier]);
        let is_same = |archive: &Archive| archive.stanza().get("Multi-Arch") == Some("same");
        if one.package() == other.package() && is_same(one) && is_same(other) {
            return Precedence::Shared;
        }
        let replaces = |index: usize, other: usize| {
            let clauses = self.clauses(index, "Replaces").unwrap_or_default();
            clauses.iter().flatten().any(|relation| {
                relation.name == self.archives[other].package()
                    && self
                        .matches(index, relation, Match::Negative)
                        .contains(&other)
            })
        };
        if replaces(later, earlier) {
            Precedence::Later
        } else if replaces(earlier, later) {
            Precedence::Earlier
        } else {
            Precedence::Conflict(one.package().to_owned(), other.package().to_owned())
        }
    }

    /// Tells whether something that a package pre-depends on is not configured yet.
    fn waits(&self, index: usize, configured: &BTreeSet<usize>) -> Result<bool> {
        let needed = self.needed(index, &["Pre-Depends"])?;
        Ok(needed
            .iter()
            .any(|&needed| needed != index && !configured.contains(&needed)))
    }

    /// Breaks a circle: what has no `preinst` can as well be unpacked early.
    fn let_go(&self, waiting: &mut Vec<usize>, batch: &mut Batch) -> Result<()> {
        let has_preinst = |index: usize| self.archives[index].control_file("preinst").is_some();
        batch.unpack = waiting
            .extract_if(.., |index| !has_preinst(*index))
            .collect();
        if !batch.unpack.is_empty() {
            return Ok(());
        }
        let names: BTreeSet<&str> = waiting
            .iter()
            .map(|&index| self.archives[index].package())
            .collect();
        let names: Vec<&str> = names.into_iter().collect();
        bail!(
            "these packages pre-depend on each other: {}",
            names.join(", ")
        )
    }

    /// Groups packages into batches that can be unpacked together after `configured` ones: a package
    /// waits until all it pre-depends on is configured. Each batch comes with what is to be configured after it,
    /// for the sake of the next.
    pub fn batches(&self, configured: &BTreeSet<usize>) -> Result<Vec<Batch>> {
        let mut configured = configured.clone();
        let mut unpacked = configured.clone();
        let mut remaining: Vec<usize> = self
            .order
            .iter()
            .copied()
            .filter(|index| !configured.contains(index))
            .collect();
        let mut batches = Vec::new();
        while !remaining.is_empty() {
            let mut batch = Batch::default();
            let mut waiting = Vec::new();
            for index in remaining {
                let waits = self.waits(index, &configured)?;
                if waits {
                    &mut waiting
                } else {
                    &mut batch.unpack
                }
                .push(index);
            }
            unpacked.extend(&batch.unpack);
            for &index in &waiting {
                let closure = self.closure(self.needed(index, &["Pre-Depends"])?)?;
                if closure.is_subset(&unpacked) {
                    batch.configure.extend(closure.difference(&configured));
                }
            }
            configured.extend(&batch.configure);
            if batch.unpack.is_empty() && batch.configure.is_empty() {
                self.let_go(&mut waiting, &mut batch)?;
                unpacked.extend(&batch.unpack);
            }
            batches.push(batch);
            remaining = waiting;
        }
        Ok(batches)
    }
}

/// Packages to unpack together, and what is to be configured before the next batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// What to unpack, in order.
    pub unpack: Vec<usize>,
    /// What has to be configured then; nothing if no later batch asks for it.
    pub configure: BTreeSet<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visit {
    NotYet,
    Begun,
    Done,
}

/// Whether a relation asks for a package or against one: the latter hits every architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    Positive,
    Negative,
}

fn show(alternatives: &[Relation<'_>]) -> String {
    let one = |relation: &Relation<'_>| match relation.constraint {
        Some((operator, version)) => {
            format!("{} ({} {version})", relation.full_name, operator.as_str())
        }
        None => relation.full_name.to_owned(),
    };
    alternatives.iter().map(one).collect::<Vec<_>>().join(" | ")
}
