//! A tree that stages are working on.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use fs_err::File;
use osbuild_sandbox::file_lock;
use rustix::fs::{CWD, Mode, mkdirat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::accounting;
use crate::clamp;
use crate::object::{Object, ObjectInfo};
use crate::staging::Staging;
use crate::store::Store;

/// The mode of a new tree's top and of all that the store makes.
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);

/// A tree in the making; dropped, it is thrown away.
#[derive(Debug)]
pub struct TreeBuilder {
    store: Store,
    staging: Staging,
    created: i64,
}

/// What `data/meta/info.json` says.
#[derive(Serialize, Deserialize)]
struct CreationInfo {
    created: i64,
}

impl TreeBuilder {
    /// Starts with an empty tree.
    pub(crate) fn empty(store: &Store) -> Result<Self> {
        let staging = Staging::create(&store.stages_dir())?;
        let data = staging.data();
        for directory in [&data, &data.join("tree"), &data.join("meta")] {
            make_directory(directory)?;
        }
        let created = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .context("the clock is before 1970")?
            .as_secs() as i64;
        let info = serde_json::to_vec(&CreationInfo { created })?;
        fs_err::write(data.join("meta/info.json"), info)?;
        Ok(Self {
            store: store.clone(),
            staging,
            created,
        })
    }

    /// Starts with the tree and the metadata in `data`.
    pub(crate) fn copy_of(store: &Store, data: &Path) -> Result<Self> {
        let staging = Staging::create(&store.stages_dir())?;
        store
            .snapshotter()
            .snapshot(data, &staging.data())
            .with_context(|| format!("starting from {}", data.display()))?;
        let info: CreationInfo =
            serde_json::from_slice(&fs_err::read(staging.data().join("meta/info.json"))?)
                .context("reading when the tree was begun")?;
        Ok(Self {
            store: store.clone(),
            staging,
            created: info.created,
        })
    }

    /// Gives the top of the tree.
    pub fn tree(&self) -> PathBuf {
        self.staging.data().join("tree")
    }

    /// Notes what a stage left.
    pub fn write_metadata(&self, stage_id: &str, metadata: &Value) -> Result<()> {
        check_id(stage_id)?;
        let path = self.staging.data().join(format!("meta/{stage_id}.json"));
        fs_err::write(path, serde_json::to_vec(metadata)?)?;
        Ok(())
    }

    /// Sets the times of all that was written since the tree was begun to `epoch`, in seconds.
    pub fn clamp_times(&self, epoch: i64) -> Result<()> {
        clamp::clamp_times(&self.tree(), self.created, epoch)
    }

    /// Keeps a copy of the tree as it is now under `id`, and goes on.
    pub fn checkpoint(&self, id: &str) -> Result<Object> {
        Self::copy_of(&self.store, &self.staging.data())?.commit(id)
    }

    /// Finishes the tree and keeps it under `id`, by renaming it.
    ///
    /// If the store has no room the object is there for this run only ([`Object::is_kept`]); if another build
    /// has finished the same tree meanwhile, that one is given.
    pub fn commit(self, id: &str) -> Result<Object> {
        check_id(id)?;
        let root = self.store.root().to_owned();
        let size = accounting::disk_usage(self.staging.path())?;
        if !accounting::reserve(&root, self.store.maximum_size(), size)? {
            tracing::info!(id, size, "the store has no room for this tree");
            return Ok(self.keep_floating(id));
        }
        let committed = self.commit_reserved(id, size);
        if !matches!(committed, Ok((_, Booking::Used))) {
            accounting::release(&root, size)?;
        }
        committed.map(|(object, _)| object)
    }

    fn commit_reserved(self, id: &str, size: u64) -> Result<(Object, Booking)> {
        let info = ObjectInfo {
            creation_boot_id: self.store.boot_id().to_owned(),
            size,
            durable: false,
        };
        let info_path = self.staging.path().join("object.info");
        fs_err::write(&info_path, serde_json::to_vec(&info)?)?;
        let target = self.store.objects_dir().join(id);
        match rename_to_new(self.staging.path(), &target) {
            Ok(()) => {}
            Err(Errno::EXIST | Errno::NOTEMPTY) => {
                if let Some(object) = self.store.object(id)? {
                    return Ok((object, Booking::Unused));
                }
                // Incomplete, not to be trusted after a power cut, or on its way out.
                accounting::remove_object(self.store.root(), &target)?;
                if rename_to_new(self.staging.path(), &target).is_err() {
                    fs_err::remove_file(&info_path)?;
                    return Ok((self.keep_floating(id), Booking::Unused));
                }
            }
            Err(error) => {
                return Err(error).with_context(|| format!("committing {}", target.display()));
            }
        }
        self.store.note_unsynced(id);
        let lock = self.staging.into_lock();
        share(&lock, &target)?;
        Ok((Object::with_lock(id, target, lock), Booking::Used))
    }

    /// Finishes the tree without keeping it beyond this run.
    pub fn keep_floating(self, id: &str) -> Object {
        Object::floating(id, self.staging)
    }
}

/// What became of the bytes booked for an object.
enum Booking {
    Used,
    Unused,
}

/// Lets readers in.
fn share(lock: &File, object: &Path) -> Result<()> {
    file_lock::lock_shared(lock).with_context(|| format!("locking {}", object.display()))
}

/// Renames unless there is something already, even an empty directory.
fn rename_to_new(from: &Path, to: &Path) -> rustix::io::Result<()> {
    let flags = rustix::fs::RenameFlags::NOREPLACE;
    match rustix::fs::renameat_with(CWD, from, CWD, to, flags) {
        // Some network file systems know no flags; a plain rename still refuses a directory with content.
        Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::rename(from, to),
        other => other,
    }
}

fn make_directory(path: &Path) -> Result<()> {
    mkdirat(CWD, path, DIRECTORY_MODE)
        .and_then(|()| rustix::fs::chmod(path, DIRECTORY_MODE))
        .with_context(|| format!("making directory {}", path.display()))
}

/// Refuses an id that would lead somewhere else when taken for a file name.
pub(crate) fn check_id(id: &str) -> Result<()> {
    let is_name = !id.is_empty()
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if !is_name {
        bail!("`{id}` can not be the name of an object");
    }
    Ok(())
}
