//! Tells what a store holds, and tidies it up.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use fs_err as fs;
use serde_json::Value;

use crate::accounting::{self, OBJECTS, PIN, STEPS, is_pinned, remove_unused};
use crate::digests::{self, Verified};
use crate::entry_lock::{self, Lock};
use crate::object::{ObjectInfo, lock_trusted};
use crate::steps::{self, Chain, KEY_PARTS, StepInfo, StepRecord, standing_on};
use crate::store::Store;
use crate::survey::disk_usage;

/// Begins the names of trees that failed stages left; no id of a stage has anything but hexadecimal digits.
pub(crate) const FAILED_PREFIX: &str = "failed-";

/// Gives the name in `objects/` of what a stage left that failed.
pub(crate) fn failed_tree_name(stage_id: &str) -> String {
    format!("{FAILED_PREFIX}{stage_id}")
}

/// Something that a store keeps.
#[derive(Clone, Debug)]
pub struct CacheEntry {
    /// What it is.
    pub kind: EntryKind,
    /// The id of a checkpoint, the key of a step.
    pub name: String,
    /// What is known of a step.
    pub record: Option<StepRecord>,
    /// Bytes of its own.
    pub size: u64,
    /// Bytes of what it stands on, which others may stand on as well.
    pub shared_size: u64,
    /// When it was last used.
    pub last_used: SystemTime,
    /// Whether it stays until it is unpinned.
    pub is_pinned: bool,
    /// Whether builds use it: it is complete, to be trusted, and all that it stands on is there.
    pub is_usable: bool,
}

/// The kinds of what a store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A tree that was asked for.
    Checkpoint,
    /// A tree that was kept unasked.
    Step,
    /// What a failed stage left, to be looked at; no build uses it.
    Failed,
}

impl EntryKind {
    fn folder(self) -> &'static str {
        match self {
            Self::Checkpoint | Self::Failed => OBJECTS,
            Self::Step => STEPS,
        }
    }
}

/// What [`Store::prune`] removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prune {
    /// What was not used since then.
    NotUsedSince(SystemTime),
    /// What was used longest ago, until not more than these bytes are left.
    ToSize(u64),
    /// All.
    All,
}

/// What is known of a step, whether or not it could be used now.
#[derive(Clone, Debug, PartialEq)]
pub struct PastStep {
    /// What it is.
    pub record: StepRecord,
    /// Bytes of its own.
    pub bytes: u64,
}

impl Store {
    /// Lists what is known of the steps that are kept, in no order: much faster than [`Store::entries`].
    pub fn past_steps(&self) -> Result<Vec<PastStep>> {
        let steps = steps::all(self.root())?.into_iter();
        steps
            .map(|(key, info)| {
                let path = self.root().join(STEPS).join(key);
                Ok(PastStep {
                    record: info.record,
                    bytes: ObjectInfo::read(&path)?.map_or(0, |info| info.size),
                })
            })
            .collect()
    }

    /// Gives the bytes that this process may still write on the store's disk.
    pub fn free_bytes(&self) -> Result<u64> {
        let statistics = rustix::fs::statvfs(self.root())
            .with_context(|| format!("looking at the disk of {}", self.root().display()))?;
        // The superuser may use the reserve, too.
        let blocks = if rustix::process::geteuid().is_root() {
            statistics.f_bfree
        } else {
            statistics.f_bavail
        };
        Ok(blocks.saturating_mul(statistics.f_frsize))
    }

    /// Lists what is kept, the last used first.
    pub fn entries(&self) -> Result<Vec<CacheEntry>> {
        let mut entries = Vec::new();
        for kind in [EntryKind::Checkpoint, EntryKind::Step] {
            let folder = self.root().join(kind.folder());
            let listed = match fs::read_dir(&folder) {
                Ok(listed) => listed,
                Err(error) if entry_lock::is_gone(&error) => continue,
                Err(error) => return Err(error.into()),
            };
            for entry in listed {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                // What is being removed just now is passed over.
                let kind = match kind {
                    EntryKind::Checkpoint if name.starts_with(FAILED_PREFIX) => EntryKind::Failed,
                    kind => kind,
                };
                if let Some(entry) = self.describe(kind, name, &entry.path())? {
                    entries.push(entry);
                }
            }
        }
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.last_used));
        Ok(entries)
    }

    fn describe(&self, kind: EntryKind, name: String, path: &Path) -> Result<Option<CacheEntry>> {
        let Ok(lock) = fs::symlink_metadata(path.join("object.lock")) else {
            return Ok(None);
        };
        let size = ObjectInfo::read(path)?.map_or(0, |info| info.size);
        let (is_usable, shared_size, record) = match kind {
            EntryKind::Checkpoint | EntryKind::Failed => {
                (lock_trusted(path, self.boot_id())?.is_some(), 0, None)
            }
            EntryKind::Step => {
                let chain = Chain::open(self.root(), &name, self.boot_id())?;
                let record = StepInfo::read(path).map(|info| info.record);
                let shared = match &chain {
                    Some(_) => self.size_below(path)?,
                    None => 0,
                };
                (chain.is_some(), shared, record)
            }
        };
        Ok(Some(CacheEntry {
            kind,
            name,
            record,
            size,
            shared_size,
            last_used: lock.accessed()?,
            is_pinned: is_pinned(path),
            is_usable,
        }))
    }

    /// Adds up the sizes of what a step stands on.
    fn size_below(&self, step: &Path) -> Result<u64> {
        let mut sum = 0;
        let mut base = StepInfo::read(step).and_then(|info| info.base);
        while let Some(below) = base {
            let path = self.steps_dir().join(&below.key);
            sum += ObjectInfo::read(&path)?.map_or(0, |info| info.size);
            base = StepInfo::read(&path).and_then(|info| info.base);
        }
        Ok(sum)
    }

    /// Gives the bytes of downloads.
    pub fn downloads_size(&self) -> Result<u64> {
        let downloads = self.downloads_dir();
        if downloads.is_dir() {
            disk_usage(&downloads)
        } else {
            Ok(0)
        }
    }

    /// Gives the parts of the keys of all steps, the last used first.
    pub fn step_parts(&self) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        for entry in self.entries()? {
            if entry.kind == EntryKind::Step && entry.is_usable {
                let file = self.steps_dir().join(&entry.name).join(KEY_PARTS);
                match fs::read(&file).map(|text| serde_json::from_slice(&text)) {
                    Ok(Ok(parts)) => all.push(parts),
                    // They are for people only.
                    _ => tracing::debug!(file = %file.display(), "a step has no readable parts"),
                }
            }
        }
        Ok(all)
    }

    /// Finds what is kept under a name, or the only one that begins so.
    ///
    /// # Errors
    /// There is none, or several.
    pub fn find_entry(&self, name: &str) -> Result<CacheEntry> {
        if name.is_empty() {
            // More likely a variable that was not set than the beginning of all names.
            bail!("an empty name means nothing that is kept");
        }
        let mut found: Vec<_> = self
            .entries()?
            .into_iter()
            .filter(|entry| entry.name.starts_with(name))
            .collect();
        if let Some(exact) = found.iter().position(|entry| entry.name == name) {
            return Ok(found.swap_remove(exact));
        }
        match (found.pop(), found.len()) {
            (None, _) => bail!("nothing is kept under a name that begins with `{name}`"),
            (Some(only), 0) => Ok(only),
            (Some(_), others) => bail!(
                "`{name}` can mean {} things: give more of the name",
                others + 1
            ),
        }
    }

    /// Keeps an entry, and what it stands on, until it is unpinned.
    ///
    /// # Errors
    /// It is being removed, or was since it was listed.
    pub fn pin(&self, entry: &CacheEntry) -> Result<()> {
        let path = self.path_of(entry);
        let Some(_lock) = entry_lock::try_lock(&path.join("object.lock"), Lock::Shared)? else {
            bail!("{} is gone: another program has removed it", entry.name);
        };
        fs::write(path.join(PIN), "")?;
        Ok(())
    }

    /// Lets an entry go like any other.
    pub fn unpin(&self, entry: &CacheEntry) -> Result<()> {
        match fs::remove_file(self.path_of(entry).join(PIN)) {
            Err(error) if !entry_lock::is_gone(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Removes what builds do not use right now, is not pinned, and is not below what stays. Gives the bytes freed.
    pub fn prune(&self, what: Prune) -> Result<u64> {
        let total: u64 = self.entries()?.iter().map(|entry| entry.size).sum();
        remove_unused(self.root(), &|freed, used| match what {
            Prune::NotUsedSince(moment) => used < moment,
            Prune::ToSize(limit) => total.saturating_sub(freed) > limit,
            Prune::All => true,
        })
    }

    /// Notes what is in the files of all that this run has kept, for [`Store::verify`].
    pub fn record_digests(&self) -> Result<()> {
        for path in self.take_unrecorded() {
            if let Some(_lock) = lock_trusted(&path, self.boot_id())? {
                digests::record(&path)?;
            }
        }
        Ok(())
    }

    /// Compares an entry with what it was when it was kept.
    pub fn verify(&self, entry: &CacheEntry) -> Result<Verified> {
        let path = self.path_of(entry);
        let Some(_lock) = entry_lock::try_lock(&path.join("object.lock"), Lock::Shared)? else {
            // Gone since it was listed.
            return Ok(Verified::Whole);
        };
        digests::verify(&path)
    }

    /// Removes an entry and all that stands on it, even what is pinned.
    ///
    /// # Errors
    /// Someone uses it.
    pub fn remove_entry(&self, entry: &CacheEntry) -> Result<()> {
        let is_gone = match entry.kind {
            EntryKind::Step => self.forget_step(&entry.name)?,
            EntryKind::Checkpoint | EntryKind::Failed => {
                accounting::remove_object(self.root(), &self.path_of(entry))?.is_some()
            }
        };
        if !is_gone {
            bail!(
                "{} is in use, or something that stands on it: try again when no build runs",
                entry.name
            );
        }
        Ok(())
    }

    /// Tells what stands on a step, directly.
    pub fn dependents(&self, entry: &CacheEntry) -> Result<Vec<String>> {
        match entry.kind {
            EntryKind::Step => standing_on(self.root(), &entry.name),
            EntryKind::Checkpoint | EntryKind::Failed => Ok(Vec::new()),
        }
    }

    fn path_of(&self, entry: &CacheEntry) -> PathBuf {
        self.root().join(entry.kind.folder()).join(&entry.name)
    }
}
