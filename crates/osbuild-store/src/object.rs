//! A finished tree.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use fs_err::File;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::entry_lock::{self, Lock};
use crate::staging::Staging;

/// The name of the file in `data/meta` that is no stage's.
const CREATION_INFO: &str = "info.json";

/// A finished tree that stays as it is, and where it is, as long as a clone of this exists.
#[derive(Clone, Debug)]
pub struct Object {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    id: String,
    path: PathBuf,
    keeper: Keeper,
}

/// What holds the tree in its place.
#[derive(Debug)]
enum Keeper {
    /// A shared lock on an object of the store.
    Lock(#[expect(dead_code, reason = "held, not read")] File),
    /// It is this run's own, and gone when dropped.
    Staging(#[expect(dead_code, reason = "held, not read")] Staging),
}

impl Object {
    /// Opens an object of the store; none if it is missing, incomplete or being removed.
    pub(crate) fn open(path: &Path, id: &str, boot_id: &str) -> Result<Option<Self>> {
        let Some(lock) = entry_lock::try_lock(&path.join("object.lock"), Lock::Shared)? else {
            return Ok(None);
        };
        match ObjectInfo::read(path)? {
            Some(info) if info.is_trusted(boot_id) => {}
            _ => return Ok(None),
        }
        mark_used(&lock);
        Ok(Some(Self::new(id, path.to_owned(), Keeper::Lock(lock))))
    }

    /// Takes a lock that is already held.
    pub(crate) fn with_lock(id: &str, path: PathBuf, lock: File) -> Self {
        Self::new(id, path, Keeper::Lock(lock))
    }

    /// Makes a finished tree readable that is not kept in the store.
    pub(crate) fn floating(id: &str, staging: Staging) -> Self {
        let path = staging.path().to_owned();
        Self::new(id, path, Keeper::Staging(staging))
    }

    fn new(id: &str, path: PathBuf, keeper: Keeper) -> Self {
        Self {
            shared: Arc::new(Shared {
                id: id.to_owned(),
                path,
                keeper,
            }),
        }
    }

    /// Gives the id of the stage that finished the tree.
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// Tells whether the store keeps the tree beyond this run.
    pub fn is_kept(&self) -> bool {
        matches!(self.shared.keeper, Keeper::Lock(_))
    }

    /// Gives the top of the tree; it is not to be changed.
    pub fn tree(&self) -> PathBuf {
        self.data().join("tree")
    }

    /// Gives the place of tree and metadata.
    pub(crate) fn data(&self) -> PathBuf {
        self.shared.path.join("data")
    }

    /// Gives what the stages of the tree left, by stage id.
    pub fn metadata(&self) -> Result<BTreeMap<String, Value>> {
        let directory = self.data().join("meta");
        let mut all = BTreeMap::new();
        for entry in fs_err::read_dir(directory)? {
            let path = entry?.path();
            let (Some(stage), Some("json")) = (
                path.file_stem().and_then(|name| name.to_str()),
                path.extension().and_then(|name| name.to_str()),
            ) else {
                continue;
            };
            if path.ends_with(CREATION_INFO) || stage.starts_with('.') {
                continue;
            }
            let value = serde_json::from_slice(&fs_err::read(&path)?)
                .with_context(|| format!("reading {}", path.display()))?;
            all.insert(stage.to_owned(), value);
        }
        Ok(all)
    }
}

/// Notes the time in the access time of the lock file, which survives `noatime`.
fn mark_used(lock: &File) {
    let omit = |nanoseconds| Timespec {
        tv_sec: 0,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: omit(UTIME_NOW),
        last_modification: omit(UTIME_OMIT),
    };
    if let Err(error) = futimens(lock, &times) {
        // On a read-only store nothing is evicted either.
        tracing::debug!(%error, "noting the use of an object failed");
    }
}

/// What `object.info` says; its presence makes an object complete.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ObjectInfo {
    /// The boot of the machine in which it was written, 32 hexadecimal digits.
    #[serde(rename = "creation-boot-id", default)]
    pub(crate) creation_boot_id: String,
    /// Bytes on disk.
    #[serde(default)]
    pub(crate) size: u64,
    /// Whether it is known to be on the disk itself. Upstream does not say, and trusts it.
    #[serde(default = "trusted")]
    pub(crate) durable: bool,
}

fn trusted() -> bool {
    true
}

impl ObjectInfo {
    /// Reads that of an object; none if it has none, or a power cut left rubbish.
    pub(crate) fn read(object: &Path) -> Result<Option<Self>> {
        match fs_err::read(object.join("object.info")) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if entry_lock::is_gone(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells whether its files are what was written: on disk, or written since the machine started.
    pub(crate) fn is_trusted(&self, boot_id: &str) -> bool {
        self.durable || self.creation_boot_id == boot_id
    }
}
