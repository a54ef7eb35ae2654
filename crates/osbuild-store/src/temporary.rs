//! Scratch space that is removed at the end, or by the next build if this one was killed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use fs_err::File;
use rustix::fs::{CWD, Mode, mkdirat};

use crate::entry_lock::{self, Lock};
use crate::remove_tree::remove_tree;

/// How many names to try; a clash is as good as impossible.
const ATTEMPTS: u32 = 16;

/// A directory below the store's `tmp` that is removed when this is dropped.
#[derive(Debug)]
pub struct TemporaryDirectory {
    path: PathBuf,
    /// Held as long as the directory is in use.
    lock: File,
}

impl TemporaryDirectory {
    /// Makes one in `parent` whose name starts with `prefix`.
    pub(crate) fn create(parent: &Path, prefix: &str) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            let path = parent.join(format!("{prefix}{}", unique_name()?));
            let Some(lock) = entry_lock::create_locked(&lock_path(&path))? else {
                continue;
            };
            mkdirat(CWD, &path, Mode::RWXU)
                .with_context(|| format!("making directory {}", path.display()))?;
            return Ok(Self { path, lock });
        }
        bail!(
            "no temporary directory could be made in {}",
            parent.display()
        )
    }

    /// Gives its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it now, and tells if that is not possible.
    pub fn remove(self) -> Result<()> {
        self.remove_both()
    }

    fn remove_both(&self) -> Result<()> {
        if self.path.symlink_metadata().is_err() {
            return Ok(());
        }
        remove_tree(&self.path)?;
        // Last: as long as the directory exists its lock must tell that it is in use.
        fs_err::remove_file(lock_path(&self.path)).context("removing a lock file")
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        if let Err(error) = self.remove_both() {
            let lock = self.lock.path().display();
            tracing::warn!(%lock, "removing a temporary directory failed: {error:#}");
        }
    }
}

/// Removes what killed builds left in `parent`.
///
/// With `is_alone`, nobody else uses the store and what has no lock file goes too: upstream makes such.
pub(crate) fn remove_stale(parent: &Path, is_alone: bool) -> Result<()> {
    for entry in fs_err::read_dir(parent)? {
        let path = entry?.path();
        let result = if path.extension() == Some(OsStr::new("lock")) {
            remove_stale_lock(&path)
        } else {
            remove_stale_directory(&path, is_alone)
        };
        // What can not be removed, a place with something mounted on it, must not keep builds from running.
        if let Err(error) = result {
            tracing::warn!(path = %path.display(), "leaving a stale entry: {error:#}");
        }
    }
    Ok(())
}

fn remove_stale_directory(path: &Path, is_alone: bool) -> Result<()> {
    let lock_file = lock_path(path);
    let has_lock = lock_file.symlink_metadata().is_ok();
    let lock = entry_lock::try_lock(&lock_file, Lock::Exclusive)?;
    if lock.is_some() || (!has_lock && is_alone) {
        tracing::debug!(path = %path.display(), "removing what a killed build left");
        remove_tree(path)?;
    }
    if lock.is_some() {
        fs_err::remove_file(lock_file).context("removing a stale lock file")?;
    }
    Ok(())
}

/// Removes a lock file whose directory was never made.
fn remove_stale_lock(path: &Path) -> Result<()> {
    if path.with_extension("").symlink_metadata().is_ok() {
        return Ok(());
    }
    match entry_lock::try_lock(path, Lock::Exclusive)? {
        Some(_lock) => fs_err::remove_file(path).context("removing a stale lock file"),
        None => Ok(()),
    }
}

fn lock_path(directory: &Path) -> PathBuf {
    let mut path = directory.as_os_str().to_owned();
    path.push(".lock");
    PathBuf::from(path)
}

/// Gives 32 hexadecimal digits that nobody has had before.
pub(crate) fn unique_name() -> Result<String> {
    let mut bytes = [0_u8; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .context("asking for random bytes")?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}
