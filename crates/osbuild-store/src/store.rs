//! The store as a whole.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, anyhow, bail};
use fs_err::{File, OpenOptions};
use osbuild_sandbox::file_lock;
use osbuild_sandbox::mount::has_private_mounts;

use crate::accounting::{OBJECTS, STAGE, STEPS, remove_object, replace_file};
use crate::object::{Object, ObjectInfo, lock_trusted, open_chain};
use crate::recognize::refuse_foreign;
use crate::size::MaximumSize;
use crate::snapshot::Snapshotter;
use crate::temporary::TemporaryDirectory;
use crate::tree_builder::{TreeBuilder, check_id};
use crate::{accounting, cache_info, staging, steps, temporary};

const CACHE_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# This is a cache directory tag created by osbuild (see https://bford.info/cachedir/)\n";

/// How to open a store.
#[derive(Clone, Debug, Default)]
pub struct StoreOptions {
    /// A new limit; none for that of before, or the default.
    pub maximum_size: Option<MaximumSize>,
    /// Whether trees may be mounted.
    pub mounts: Mounts,
    /// How to make trees that start as others; none for what `OSBUILD_SNAPSHOTTER` says, or else the best that works.
    pub snapshotter: Option<Snapshotter>,
}

/// Whether a store may mount the trees that it hands out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mounts {
    /// If this process has entered a mount namespace of its own; else trees are copied, and those in layers can not be
    /// read.
    #[default]
    IfPrivate,
    /// It may: the caller knows that nobody else sees the mounts of this process.
    Allowed,
    /// It may not.
    Forbidden,
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
    mounts: Mounts,
    wanted_snapshotter: Option<Snapshotter>,
    /// Found out when first asked for.
    snapshotter: Mutex<Option<Snapshotter>>,
    /// Objects and steps that this run has committed and that may not be on the disk itself yet.
    unsynced: Mutex<Vec<PathBuf>>,
    /// Those whose content is not noted yet.
    unrecorded: Mutex<Vec<PathBuf>>,
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
        fs_err::create_dir_all(&root)?;
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(root.join("cache.lock"))?;
        let is_alone = file_lock::try_lock_exclusive(&lock)?;
        if !is_alone {
            // Whoever is alone now may be mending, and takes for left over what is not whole yet.
            file_lock::lock_shared(&lock)?;
        }
        make_layout(&root)?;
        let maximum_size = cache_info::settle(&root, options.maximum_size)?;
        temporary::remove_stale(&root.join("tmp"), is_alone)?;
        if is_alone {
            accounting::mend(&root)?;
        }
        staging::remove_stale(&root.join(STAGE), is_alone)?;
        if is_alone {
            file_lock::lock_shared(&lock)?;
        }
        Self::assemble(root, lock, maximum_size, options)
    }

    fn assemble(
        root: PathBuf,
        lock: File,
        maximum_size: MaximumSize,
        options: &StoreOptions,
    ) -> Result<Self> {
        Ok(Self {
            shared: Arc::new(Shared {
                root,
                _lock: lock,
                maximum_size,
                boot_id: boot_id()?,
                mounts: options.mounts,
                wanted_snapshotter: match options.snapshotter {
                    Some(snapshotter) => Some(snapshotter),
                    None => Snapshotter::from_environment()?,
                },
                snapshotter: Mutex::new(None),
                unsynced: Mutex::new(Vec::new()),
                unrecorded: Mutex::new(Vec::new()),
            }),
        })
    }

    /// Opens a store that is there, to look at it: nothing in it is made, tidied or changed, but for a note that what
    /// another boot wrote is whole, if that can be written. So it can be on a read-only file system or another user's. Its
    /// trees are not to be opened.
    ///
    /// # Errors
    /// There is no store, or one that this program does not know.
    pub fn open_to_read(path: &Path) -> Result<Self> {
        let opening = || format!("opening the store {}", path.display());
        let root = std::path::absolute(path).with_context(opening)?;
        if !root.join("cache.info").is_file() {
            return Err(anyhow!("there is no store").context(opening()));
        }
        let maximum_size = cache_info::read(&root).with_context(opening)?;
        let lock = File::open(root.join("cache.lock")).with_context(opening)?;
        file_lock::lock_shared(&lock).with_context(opening)?;
        let options = StoreOptions {
            // Not to mount anything: to see what a build could.
            mounts: Mounts::Allowed,
            ..StoreOptions::default()
        };
        Self::assemble(root, lock, maximum_size, &options).with_context(opening)
    }

    /// Opens the object of this id; none if the store has no such finished tree.
    pub fn object(&self, id: &str) -> Result<Option<Object>> {
        check_id(id)?;
        Object::open(self, id)
    }

    /// Opens the step of this key; none if the store has no such finished tree, or it can not be mounted.
    pub fn step(&self, key: &str) -> Result<Option<Object>> {
        check_id(key)?;
        Object::open_step(self, key)
    }

    /// Tells whether [`Store::step`] would find something, without keeping it from being removed.
    pub fn has_step(&self, key: &str) -> bool {
        check_id(key).is_ok() && open_chain(self, key).is_ok_and(|chain| chain.is_some())
    }

    /// Tells whether [`Store::object`] would find something, without keeping it from being removed.
    pub fn contains(&self, id: &str) -> bool {
        check_id(id).is_ok()
            && lock_trusted(&self.objects_dir().join(id), self.boot_id())
                .is_ok_and(|lock| lock.is_some())
    }

    /// Removes the step of this key and those that stand on it, unless someone uses them; tells whether it is gone.
    pub fn forget_step(&self, key: &str) -> Result<bool> {
        check_id(key)?;
        for dependent in steps::standing_on(self.root(), key)? {
            if !self.forget_step(&dependent)? {
                return Ok(false);
            }
        }
        let path = self.steps_dir().join(key);
        Ok(path.symlink_metadata().is_err() || remove_object(self.root(), &path)?.is_some())
    }

    /// Starts a tree with nothing in it.
    pub fn new_tree(&self) -> Result<TreeBuilder> {
        TreeBuilder::empty(self)
    }

    /// Starts a tree as the one of `object`, its metadata included.
    pub fn new_tree_from(&self, object: &Object) -> Result<TreeBuilder> {
        TreeBuilder::from_object(self, object)
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
        let directory = File::open(self.root())?;
        rustix::fs::syncfs(&directory).context("waiting for the disk")?;
        for path in unsynced {
            self.mark_durable(&path)?;
        }
        Ok(())
    }

    fn mark_durable(&self, path: &Path) -> Result<()> {
        // The shared lock keeps it from being removed meanwhile.
        let Some(_lock) = lock_trusted(path, self.boot_id())? else {
            return Ok(());
        };
        if let Some(mut info) = ObjectInfo::read(path)? {
            info.durable = true;
            replace_file(&path.join("object.info"), &serde_json::to_vec(&info)?)?;
        }
        Ok(())
    }

    pub(crate) fn note_committed(&self, path: &Path) {
        self.lock_unsynced().push(path.to_owned());
        self.lock_unrecorded().push(path.to_owned());
    }

    pub(crate) fn take_unrecorded(&self) -> Vec<PathBuf> {
        std::mem::take(&mut *self.lock_unrecorded())
    }

    fn lock_unrecorded(&self) -> std::sync::MutexGuard<'_, Vec<PathBuf>> {
        self.shared
            .unrecorded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_unsynced(&self) -> std::sync::MutexGuard<'_, Vec<PathBuf>> {
        self.shared
            .unsynced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn objects_dir(&self) -> PathBuf {
        self.shared.root.join(OBJECTS)
    }

    pub(crate) fn steps_dir(&self) -> PathBuf {
        self.shared.root.join(STEPS)
    }

    pub(crate) fn may_mount(&self) -> bool {
        match self.shared.mounts {
            Mounts::IfPrivate => has_private_mounts(),
            Mounts::Allowed => true,
            Mounts::Forbidden => false,
        }
    }

    pub(crate) fn stages_dir(&self) -> PathBuf {
        self.shared.root.join(STAGE)
    }

    pub(crate) fn boot_id(&self) -> &str {
        &self.shared.boot_id
    }

    /// Gives the way in which trees are made that start as others.
    pub fn snapshotter(&self) -> Result<Snapshotter> {
        let mut known = self
            .shared
            .snapshotter
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = *known {
            return Ok(known);
        }
        let scratch = self.temporary("probe")?;
        let found =
            Snapshotter::choose(self.shared.wanted_snapshotter, self.may_mount(), &scratch)?;
        tracing::debug!(snapshotter = ?found, "found out how to make trees");
        *known = Some(found);
        Ok(found)
    }
}

fn make_layout(root: &Path) -> Result<()> {
    for directory in [OBJECTS, STAGE, "sources", "logs", "tmp", STEPS] {
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
