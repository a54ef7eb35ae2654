//! Who may do what with a tree in the making: one writes, or many read.

use std::path::{Path, PathBuf};

use fs_err::{File, OpenOptions};
use osbuild_sandbox::file_lock;
use thiserror::Error;

use crate::view::View;

/// The lock, beside the tree. It excludes threads as well as processes, and dies with its owner.
const LOCK: &str = "access.lock";

/// Why a tree in the making can not be opened.
#[derive(Debug, Error)]
pub enum AccessError {
    /// Someone writes to it.
    #[error("the tree {} is being written, so it can not be opened", tree.display())]
    BeingWritten {
        /// Its place in the store.
        tree: PathBuf,
    },
    /// Someone reads it.
    #[error("the tree {} is being read, so it can not be written", tree.display())]
    BeingRead {
        /// Its place in the store.
        tree: PathBuf,
    },
    /// It can not be locked or shown.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// A lock that is given back when this is dropped.
///
/// Closing the file is not enough: a child that another thread is just starting has a copy of it until it runs its
/// program, and the lock belongs to all copies.
#[derive(Debug)]
pub(crate) struct AccessLock(File);

impl Drop for AccessLock {
    fn drop(&mut self) {
        if let Err(error) = file_lock::unlock(&self.0) {
            tracing::debug!(%error, "a lock goes with its last copy");
        }
    }
}

/// A tree that can be changed as long as this exists, and nobody else opens.
#[derive(Debug)]
pub struct WriteAccess {
    path: PathBuf,
    _lock: AccessLock,
}

impl WriteAccess {
    pub(crate) fn new(path: PathBuf, lock: AccessLock) -> Self {
        Self { path, _lock: lock }
    }

    /// Gives the top of the tree.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A tree that nobody changes as long as this exists; where mounts are allowed, nobody can.
#[derive(Debug)]
pub struct ReadAccess {
    view: View,
    _lock: AccessLock,
}

impl ReadAccess {
    pub(crate) fn new(view: View, lock: AccessLock) -> Self {
        Self { view, _lock: lock }
    }

    /// Gives the top of the tree.
    pub fn path(&self) -> &Path {
        self.view.path()
    }
}

/// Takes the lock of the one who writes to the tree in this entry of the store.
pub(crate) fn lock_to_write(entry: &Path) -> Result<AccessLock, AccessError> {
    let lock = open(entry)?;
    if file_lock::try_lock_exclusive(&lock).map_err(anyhow::Error::from)? {
        return Ok(AccessLock(lock));
    }
    let tree = entry.to_owned();
    // Who it is decides what is said: if a shared lock can be had, the others have shared ones.
    if file_lock::try_lock_shared(&lock).map_err(anyhow::Error::from)? {
        drop(AccessLock(lock));
        Err(AccessError::BeingRead { tree })
    } else {
        Err(AccessError::BeingWritten { tree })
    }
}

/// Takes a lock of those who read the tree in this entry of the store.
pub(crate) fn lock_to_read(entry: &Path) -> Result<AccessLock, AccessError> {
    let lock = open(entry)?;
    if file_lock::try_lock_shared(&lock).map_err(anyhow::Error::from)? {
        return Ok(AccessLock(lock));
    }
    Err(AccessError::BeingWritten {
        tree: entry.to_owned(),
    })
}

/// Removes the lock when the tree is finished: from then on it can only be read.
pub(crate) fn forget(entry: &Path) -> anyhow::Result<()> {
    Ok(fs_err::remove_file(entry.join(LOCK))?)
}

fn open(entry: &Path) -> Result<File, AccessError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    Ok(options
        .open(entry.join(LOCK))
        .map_err(anyhow::Error::from)?)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Names the entry to the process that a test starts.
    const ENTRY: &str = "OSBUILD_TEST_ENTRY";

    fn said(result: &Result<AccessLock, AccessError>) -> &'static str {
        match result {
            Ok(_) => "had",
            Err(AccessError::BeingRead { .. }) => "being read",
            Err(AccessError::BeingWritten { .. }) => "being written",
            Err(AccessError::Failed(_)) => "failed",
        }
    }

    fn to_write(entry: &Path) -> &'static str {
        said(&lock_to_write(entry))
    }

    fn to_read(entry: &Path) -> &'static str {
        said(&lock_to_read(entry))
    }

    /// What another thread and another process get: to write, to read.
    fn others_get(entry: &Path) -> [String; 4] {
        let [write, read] = std::thread::scope(|scope| {
            let both = scope.spawn(|| [to_write(entry), to_read(entry)]);
            both.join().unwrap()
        });
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "access::tests::another_process", "--nocapture"])
            .env(ENTRY, entry)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find_map(|line| line.split_once("got: "));
        let (write_there, read_there) = line.unwrap().1.split_once(", ").unwrap();
        [
            write.to_owned(),
            read.to_owned(),
            write_there.to_owned(),
            read_there.to_owned(),
        ]
    }

    #[test]
    fn another_process() {
        if let Some(entry) = std::env::var_os(ENTRY) {
            let entry = Path::new(&entry);
            let write = to_write(entry);
            println!("got: {write}, {}", to_read(entry));
        }
    }

    #[test]
    fn one_writes_or_many_read() {
        let folder = tempfile::tempdir().unwrap();
        let entry = folder.path();
        assert_eq!(others_get(entry), ["had", "had", "had", "had"]);
        let writer = lock_to_write(entry).unwrap();
        assert_eq!(others_get(entry), ["being written"; 4]);
        drop(writer);
        let readers = [lock_to_read(entry).unwrap(), lock_to_read(entry).unwrap()];
        assert_eq!(
            others_get(entry),
            ["being read", "had", "being read", "had"]
        );
        drop(readers);
        drop(lock_to_write(entry).unwrap());
    }
}
