//! Open-file-description locks on whole files.
//!
//! They belong to the open file, not to the process: two opens in one process exclude each other, a copy
//! of the descriptor shares the lock, and the last close, or the death of the process, frees it. Upstream
//! osbuild takes the same kind, so both respect each other.

use std::io;
use std::os::fd::AsFd;

use crate::syscalls::{LockKind, LockWait, lock_file};

/// Takes a shared lock, waiting for an exclusive one to go. The file must be open for reading.
pub fn lock_shared(file: impl AsFd) -> io::Result<()> {
    lock_file(file.as_fd(), LockKind::Shared, LockWait::Block).map(drop)
}

/// Takes an exclusive lock, waiting for all others to go. The file must be open for writing.
pub fn lock_exclusive(file: impl AsFd) -> io::Result<()> {
    lock_file(file.as_fd(), LockKind::Exclusive, LockWait::Block).map(drop)
}

/// Takes a shared lock if nobody holds an exclusive one; tells whether it did.
pub fn try_lock_shared(file: impl AsFd) -> io::Result<bool> {
    lock_file(file.as_fd(), LockKind::Shared, LockWait::Fail)
}

/// Takes an exclusive lock if nobody holds any; tells whether it did.
pub fn try_lock_exclusive(file: impl AsFd) -> io::Result<bool> {
    lock_file(file.as_fd(), LockKind::Exclusive, LockWait::Fail)
}

/// Gives a lock back.
pub fn unlock(file: impl AsFd) -> io::Result<()> {
    lock_file(file.as_fd(), LockKind::None, LockWait::Fail).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &std::path::Path) -> fs_err::File {
        fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .unwrap()
    }

    #[test]
    fn two_opens_of_one_process_exclude_each_other() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (first, second) = (open(file.path()), open(file.path()));
        assert!(try_lock_shared(&first).unwrap());
        assert!(try_lock_shared(&second).unwrap());
        assert!(!try_lock_exclusive(&second).unwrap());
        unlock(&first).unwrap();
        assert!(try_lock_exclusive(&second).unwrap());
        assert!(!try_lock_shared(&first).unwrap());
        drop(second);
        lock_exclusive(&first).unwrap();
        lock_shared(&first).unwrap();
    }
}
