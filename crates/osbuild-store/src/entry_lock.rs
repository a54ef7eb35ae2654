//! Lock files that can be told apart from those put in their place since.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use fs_err::{File, OpenOptions};
use osbuild_sandbox::file_lock;

/// How a lock that is not to be had at once is treated: never waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Many readers.
    Shared,
    /// One owner.
    Exclusive,
}

/// Takes the lock of an existing lock file; none if it is missing, taken, or was replaced meanwhile.
pub(crate) fn try_lock(path: &Path, lock: Lock) -> Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).write(lock == Lock::Exclusive);
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error).context("opening a lock file"),
    };
    let is_locked = match lock {
        Lock::Shared => file_lock::try_lock_shared(&file),
        Lock::Exclusive => file_lock::try_lock_exclusive(&file),
    }
    .with_context(|| format!("locking {}", path.display()))?;
    // The file may have been deleted, or replaced, between opening and locking.
    Ok((is_locked && is_at(&file, path)?).then_some(file))
}

/// Makes a lock file and takes its exclusive lock; none if someone deleted it in between.
pub(crate) fn create_locked(path: &Path) -> Result<Option<File>> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)?;
    let is_locked = file_lock::try_lock_exclusive(&file)
        .with_context(|| format!("locking {}", path.display()))?;
    Ok((is_locked && is_at(&file, path)?).then_some(file))
}

/// Tells whether `path` still leads to the open file.
pub(crate) fn is_at(file: &File, path: &Path) -> Result<bool> {
    let opened = file.metadata()?;
    match fs_err::symlink_metadata(path) {
        Ok(found) => Ok((opened.dev(), opened.ino()) == (found.dev(), found.ino())),
        Err(error) if is_gone(&error) => Ok(false),
        Err(error) => Err(error).context("looking for a lock file"),
    }
}

/// Tells whether an error means that a file, or the directory it was in, is not there.
pub(crate) fn is_gone(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
    )
}
