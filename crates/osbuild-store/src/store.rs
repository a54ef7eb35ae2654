//! The store as a whole.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use fs_err::{File, OpenOptions};
use osbuild_sandbox::file_lock;

use crate::accounting::replace_file;
use crate::object::{Object, ObjectInfo};
use crate::recognize::refuse_foreign;
use crate::size::MaximumSize;
use crate::snapshot::{PlainCopy, Snapshotter};
use crate::temporary::TemporaryDirectory;
use crate::tree_builder::{TreeBuilder, check_id};
use crate::{cache_info, staging, temporary};

const CACHE_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# This is a cache directory tag created by osbuild (see https://bford.info/cachedir/)\n";

/// How to open a store.
#[derive(Clone, Debug, Default)]
pub struct StoreOptions {
    /// A new limit; none for that of before, or the default.
    pub maximum_size: Option<MaximumSize>,
}

/// An open store. Clones are the same store.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    /// Shared, for as long as the store is open.
    _lock: File,
    maximum_size: MaximumSize,
    boot_id: String,
    snapshotter: Box<dyn Snapshotter>,
    /// Objects that this run has committed and that may not be on the disk itself yet.
    unsynced: Mutex<Vec<String>>,
}

impl Store {
    /// Opens a store, makes it if there is none, and removes what killed builds left in it.
    pub fn open(path: &Path, options: &StoreOptions) -> Result<Self> {
        let root = std::path::absolute(path)
            .with_context(|| format!("finding the store {}", path.display()))?;
        Self::open_absolute(root, options)
            .with_context(|| format!("opening the store {}", path.display()))
    }

    fn open_absolute(root: PathBuf, options: &StoreOptions) -> Result<Self> {
        if fs_err::metadata(&root).is_ok_and(|metadata| !metadata.is_dir()) {
            bail!("it is a file and not a directory: delete it, or name another with --cache");
        }
        refuse_foreign(&root)?;
        make_layout(&root)?;
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(root.join("cache.lock"))?;
        let is_alone = file_lock::try_lock_exclusive(&lock)?;
        let maximum_size = cache_info::settle(&root, options.maximum_size)?;
        temporary::remove_stale(&root.join("tmp"), is_alone)?;
        staging::remove_stale(&root.join("stage"), is_alone)?;
        file_lock::lock_shared(&lock)?;
        Ok(Self {
            shared: Arc::new(Shared {
                root,
                _lock: lock,
                maximum_size,
                boot_id: boot_id()?,
                snapshotter: Box::new(PlainCopy),
                unsynced: Mutex::new(Vec::new()),
            }),
        })
    }

    /// Opens the object of this id; none if the store has no such finished tree.
    pub fn object(&self, id: &str) -> Result<Option<Object>> {
        check_id(id)?;
        Object::open(&self.objects_dir().join(id), id, &self.shared.boot_id)
    }

    /// Tells whether [`Store::object`] would find something, without keeping it from being removed.
    pub fn contains(&self, id: &str) -> bool {
        self.object(id).is_ok_and(|object| object.is_some())
    }

    /// Starts a tree with nothing in it.
    pub fn new_tree(&self) -> Result<TreeBuilder> {
        TreeBuilder::empty(self)
    }

    /// Starts a tree as the one of `object`, its metadata included.
    pub fn new_tree_from(&self, object: &Object) -> Result<TreeBuilder> {
        TreeBuilder::copy_of(self, &object.data())
    }

    /// Makes a directory for this run whose name starts with `prefix`.
    pub fn temporary(&self, prefix: &str) -> Result<TemporaryDirectory> {
        TemporaryDirectory::create(&self.shared.root.join("tmp"), prefix)
    }

    /// Gives the place of downloads, one directory for each type of content.
    pub fn downloads_dir(&self) -> PathBuf {
        self.shared.root.join("sources")
    }

    /// Gives the place for the output of stages.
    pub fn logs_dir(&self) -> PathBuf {
        self.shared.root.join("logs")
    }

    /// Gives the top of the store.
    pub fn root(&self) -> &Path {
        &self.shared.root
    }

    /// Gives the limit.
    pub fn maximum_size(&self) -> MaximumSize {
        self.shared.maximum_size
    }

    /// Waits until all that this run has committed is on the disk itself.
    ///
    /// Without it, objects are trusted until the machine is started anew: see `docs/store-format.md`.
    pub fn flush(&self) -> Result<()> {
        let unsynced = std::mem::take(&mut *self.lock_unsynced());
        if unsynced.is_empty() {
            return Ok(());
        }
        let directory = File::open(self.objects_dir())?;
        rustix::fs::syncfs(&directory).context("waiting for the disk")?;
        for id in unsynced {
            self.mark_durable(&id)?;
        }
        Ok(())
    }

    fn mark_durable(&self, id: &str) -> Result<()> {
        // Its shared lock keeps it from being removed meanwhile.
        let Some(_object) = self.object(id)? else {
            return Ok(());
        };
        let path = self.objects_dir().join(id);
        if let Some(mut info) = ObjectInfo::read(&path)? {
            info.durable = true;
            replace_file(&path.join("object.info"), &serde_json::to_vec(&info)?)?;
        }
        Ok(())
    }

    pub(crate) fn note_unsynced(&self, id: &str) {
        self.lock_unsynced().push(id.to_owned());
    }

    fn lock_unsynced(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.shared
            .unsynced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn objects_dir(&self) -> PathBuf {
        self.shared.root.join("objects")
    }

    pub(crate) fn stages_dir(&self) -> PathBuf {
        self.shared.root.join("stage")
    }

    pub(crate) fn boot_id(&self) -> &str {
        &self.shared.boot_id
    }

    pub(crate) fn snapshotter(&self) -> &dyn Snapshotter {
        self.shared.snapshotter.as_ref()
    }
}

fn make_layout(root: &Path) -> Result<()> {
    for directory in ["objects", "stage", "sources", "logs", "tmp"] {
        fs_err::create_dir_all(root.join(directory))?;
    }
    for (name, content) in [("CACHEDIR.TAG", CACHE_TAG), ("cache.size", "0")] {
        let path = root.join(name);
        if !path.exists() {
            replace_file(&path, content.as_bytes())?;
        }
    }
    Ok(())
}

/// Gives a name to the time since the machine was started.
fn boot_id() -> Result<String> {
    let id = fs_err::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(id.trim().replace('-', ""))
}
