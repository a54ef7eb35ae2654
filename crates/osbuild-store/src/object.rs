//! A finished tree.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use fs_err::File;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::accounting::replace_file;
use crate::digests;
use crate::entry_lock::{self, Lock};
use crate::staging::Staging;
use crate::steps::{BaseStep, Chain};
use crate::store::Store;
use crate::view::View;

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
    /// The entry of the store that holds the metadata, and what is the tree's own.
    path: PathBuf,
    /// The directories of the tree, the topmost first.
    stack: Vec<PathBuf>,
    /// Whether the tree can not be a layer; none if nobody has looked.
    is_special: Option<bool>,
    // Dropped before what holds the tree in its place.
    view: View,
    keeper: Keeper,
    /// What the lower directories of the stack belong to.
    _base: Option<Object>,
}

/// What holds the tree in its place.
#[derive(Debug)]
enum Keeper {
    /// A shared lock on an object of the store.
    Lock(#[expect(dead_code, reason = "held, not read")] File),
    /// A step, which others can stand on.
    Step {
        name: BaseStep,
        #[expect(dead_code, reason = "held, not read")]
        locks: Vec<File>,
    },
    /// It is this run's own, and gone when dropped.
    Staging(#[expect(dead_code, reason = "held, not read")] Staging),
}

impl Object {
    /// Opens an object of the store; none if it is missing, incomplete or being removed.
    pub(crate) fn open(store: &Store, id: &str) -> Result<Option<Self>> {
        let path = store.objects_dir().join(id);
        let Some(lock) = lock_trusted(&path, store.boot_id())? else {
            return Ok(None);
        };
        mark_used(&lock);
        Self::with_lock(store, id, path, lock).map(Some)
    }

    /// Opens a step; none as for [`Object::open`], or if its layers can not be mounted.
    pub(crate) fn open_step(store: &Store, key: &str) -> Result<Option<Self>> {
        let Some(chain) = open_chain(store, key)? else {
            return Ok(None);
        };
        chain.mark_used();
        Self::from_chain(store, key, chain).map(Some)
    }

    fn from_chain(store: &Store, key: &str, chain: Chain) -> Result<Self> {
        let keeper = Keeper::Step {
            name: BaseStep {
                key: key.to_owned(),
                instance: chain.info.instance,
            },
            locks: chain.locks,
        };
        Self::new(
            store,
            Shape {
                id: chain.info.record.stage_id,
                path: store.steps_dir().join(key),
                stack: chain.stack,
                is_special: Some(chain.info.is_special),
                base: None,
            },
            keeper,
        )
    }

    /// Takes a lock that is already held.
    pub(crate) fn with_lock(store: &Store, id: &str, path: PathBuf, lock: File) -> Result<Self> {
        let shape = Shape {
            id: id.to_owned(),
            stack: vec![path.join("data/tree")],
            path,
            is_special: None,
            base: None,
        };
        Self::new(store, shape, Keeper::Lock(lock))
    }

    /// Makes a finished tree readable that is not kept in the store.
    pub(crate) fn floating(
        store: &Store,
        id: &str,
        staging: Staging,
        stack: Vec<PathBuf>,
        base: Option<Self>,
    ) -> Result<Self> {
        let shape = Shape {
            id: id.to_owned(),
            path: staging.path().to_owned(),
            stack,
            is_special: None,
            base,
        };
        Self::new(store, shape, Keeper::Staging(staging))
    }

    fn new(store: &Store, shape: Shape, keeper: Keeper) -> Result<Self> {
        let view = View::of(store, &shape.stack)
            .with_context(|| format!("opening the tree {}", shape.id))?;
        Ok(Self {
            shared: Arc::new(Shared {
                id: shape.id,
                path: shape.path,
                stack: shape.stack,
                is_special: shape.is_special,
                view,
                keeper,
                _base: shape.base,
            }),
        })
    }

    /// Gives the id of the stage that finished the tree.
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// Tells whether the store keeps the tree beyond this run.
    pub fn is_kept(&self) -> bool {
        !matches!(self.shared.keeper, Keeper::Staging(_))
    }

    /// Gives the top of the tree; it is not to be changed, and can not be where mounts are allowed.
    pub fn tree(&self) -> PathBuf {
        self.shared.view.path().to_owned()
    }

    /// Gives the directory that is the whole tree, if it is this run's own.
    pub(crate) fn own_directory(&self) -> Option<&Path> {
        match (self.is_kept(), self.shared.stack.as_slice()) {
            (false, [only]) if only.starts_with(&self.shared.path) => Some(only),
            _ => None,
        }
    }

    /// Gives the directories of the tree, the topmost first.
    pub(crate) fn stack(&self) -> &[PathBuf] {
        &self.shared.stack
    }

    /// Tells whether the tree can not be a layer; none if nobody has looked.
    pub(crate) fn is_special(&self) -> Option<bool> {
        self.shared.is_special
    }

    /// Gives the step that this is, for others to stand on.
    pub(crate) fn as_base(&self) -> Option<&BaseStep> {
        match &self.shared.keeper {
            Keeper::Step { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Gives the place of the metadata, and of a tree in one directory.
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

/// What an object is made of.
struct Shape {
    id: String,
    path: PathBuf,
    stack: Vec<PathBuf>,
    is_special: Option<bool>,
    base: Option<Object>,
}

/// Takes the shared lock of what is complete and to be trusted.
pub(crate) fn lock_trusted(path: &Path, boot_id: &str) -> Result<Option<File>> {
    let Some(lock) = entry_lock::try_lock(&path.join("object.lock"), Lock::Shared)? else {
        return Ok(None);
    };
    Ok(is_trusted(path, boot_id)?.then_some(lock))
}

/// Tells whether the files of an entry are what was written. The lock of the entry has to be held.
///
/// What was written before the machine was started anew, or by another machine, is compared with what was noted of it;
/// a power cut can have kept its content from the disk. This is done once.
pub(crate) fn is_trusted(path: &Path, boot_id: &str) -> Result<bool> {
    let Some(info) = ObjectInfo::read(path)? else {
        return Ok(false);
    };
    if info.durable || info.creation_boot_id == boot_id {
        return Ok(true);
    }
    let is_whole = digests::is_whole(path).unwrap_or_else(|error| {
        tracing::debug!("what may not have reached the disk can not be read: {error:#}");
        false
    });
    if is_whole && let Err(error) = make_durable(path, info) {
        // On a read-only store it is compared each time.
        tracing::debug!("it can not be noted that an entry is on the disk: {error:#}");
    }
    Ok(is_whole)
}

/// Waits until all of a file system is on the disk, and notes that an entry is.
fn make_durable(path: &Path, mut info: ObjectInfo) -> Result<()> {
    rustix::fs::syncfs(&File::open(path)?).context("waiting for the disk")?;
    info.durable = true;
    replace_file(&path.join("object.info"), &serde_json::to_vec(&info)?)
}

/// Opens a step and those below; none as well if its layers can not be mounted by this process.
pub(crate) fn open_chain(store: &Store, key: &str) -> Result<Option<Chain>> {
    let chain = Chain::open(store.root(), key, store.boot_id())?;
    Ok(chain.filter(|chain| store.may_mount() || chain.stack.len() == 1))
}

/// Notes the time in the access time of the lock file, which survives `noatime`.
pub(crate) fn mark_used(lock: &File) {
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
}
