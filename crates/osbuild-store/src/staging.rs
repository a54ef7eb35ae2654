//! A tree in the making: an object without `object.info`, below `stage`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use fs_err::File;
use rustix::fs::{CWD, Mode, mkdirat};

use crate::entry_lock::{self, Lock};
use crate::remove_tree::remove_tree;
use crate::temporary::unique_name;

/// An entry of `stage` that is removed when this is dropped, unless it was moved away.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    /// Exclusive from the first moment on, so nobody takes it for left over.
    lock: Option<File>,
}

impl Staging {
    /// Makes one with nothing in it but its lock.
    pub(crate) fn create(stages: &Path) -> Result<Self> {
        loop {
            let path = new_place(stages)?;
            mkdirat(CWD, &path, Mode::RWXU)
                .with_context(|| format!("making directory {}", path.display()))?;
            if let Some(lock) = entry_lock::create_locked(&path.join("object.lock"))? {
                return Ok(Self {
                    path,
                    lock: Some(lock),
                });
            }
        }
    }

    /// Gives the place of the whole entry.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the place of tree and metadata.
    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Gives up its place: someone has moved it. The lock is still held.
    pub(crate) fn into_lock(mut self) -> File {
        self.lock.take().expect("only this takes it")
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.lock.is_some()
            && let Err(error) = remove_tree(&self.path)
        {
            tracing::warn!(path = %self.path.display(), "removing an unfinished tree failed: {error:#}");
        }
    }
}

/// Gives a path in `stages` that nobody has used before.
pub(crate) fn new_place(stages: &Path) -> Result<PathBuf> {
    Ok(stages.join(format!("uuid-{}", unique_name()?)))
}

/// Removes what killed builds left in `stages`; with `is_alone`, also what never got its lock.
pub(crate) fn remove_stale(stages: &Path, is_alone: bool) -> Result<()> {
    for entry in fs_err::read_dir(stages)? {
        let path = entry?.path();
        let lock_file = path.join("object.lock");
        let lock = entry_lock::try_lock(&lock_file, Lock::Exclusive)?;
        let is_unlocked = lock_file.symlink_metadata().is_err() && is_alone;
        if (lock.is_some() || is_unlocked)
            && let Err(error) = remove_tree(&path)
        {
            tracing::warn!(path = %path.display(), "leaving a stale entry: {error:#}");
        }
    }
    Ok(())
}
