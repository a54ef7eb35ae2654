//! Keeps the objects of a store within its limit.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use fs_err::{File, OpenOptions};
use osbuild_sandbox::file_lock;

use crate::entry_lock::{self, Lock};
use crate::object::ObjectInfo;
use crate::remove_tree::remove_tree;
use crate::size::MaximumSize;
use crate::temporary::unique_name;

/// The unit of `st_blocks`, whatever the file system's own block size.
const STAT_BLOCK: u64 = 512;

/// Books `bytes` for a new object, removing old ones if need be; tells whether there is room.
pub(crate) fn reserve(store: &Path, limit: MaximumSize, bytes: u64) -> Result<bool> {
    if !limit.allows(bytes) {
        return Ok(false);
    }
    if add(store, limit, bytes)? {
        return Ok(true);
    }
    // Twice what is wanted, so that not every commit to a full store has to clear up first.
    evict(store, bytes.saturating_mul(2))?;
    add(store, limit, bytes)
}

/// Gives back what was booked for an object that is gone.
pub(crate) fn release(store: &Path, bytes: u64) -> Result<()> {
    change(store, |size| Some(size.saturating_sub(bytes))).map(drop)
}

fn add(store: &Path, limit: MaximumSize, bytes: u64) -> Result<bool> {
    change(store, |size| {
        let sum = size.saturating_add(bytes);
        limit.allows(sum).then_some(sum)
    })
}

/// Replaces the booked size by what `compute` makes of it, if anything.
fn change(store: &Path, compute: impl FnOnce(u64) -> Option<u64>) -> Result<bool> {
    let path = store.join("cache.size");
    let _lock = lock_size(&path)?;
    let booked = match fs_err::read_to_string(&path)?.parse() {
        Ok(size) => size,
        // A power cut can leave it empty; the objects know.
        Err(_) => recount(store)?,
    };
    let Some(size) = compute(booked) else {
        return Ok(false);
    };
    replace_file(&path, size.to_string().as_bytes())?;
    Ok(true)
}

/// Waits for the lock of the file that is at `path` when the lock is had.
fn lock_size(path: &Path) -> Result<File> {
    loop {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        file_lock::lock_exclusive(&file).with_context(|| format!("locking {}", path.display()))?;
        if entry_lock::is_at(&file, path)? {
            return Ok(file);
        }
    }
}

/// Adds up what the objects say they take.
fn recount(store: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs_err::read_dir(store.join("objects"))? {
        if let Some(info) = ObjectInfo::read(&entry?.path())? {
            sum += info.size;
        }
    }
    Ok(sum)
}

/// Removes objects that nobody uses, the one that was used longest ago first, until `wanted` bytes are free.
fn evict(store: &Path, wanted: u64) -> Result<()> {
    let mut freed = 0;
    for (_, object) in by_last_use(store)? {
        if freed >= wanted {
            break;
        }
        freed += remove_object(store, &object)?.unwrap_or(0);
    }
    Ok(())
}

fn by_last_use(store: &Path) -> Result<Vec<(SystemTime, PathBuf)>> {
    let mut objects = Vec::new();
    for entry in fs_err::read_dir(store.join("objects"))? {
        let path = entry?.path();
        // Without a lock file it is no object; someone may be removing it right now.
        if let Ok(lock) = fs_err::symlink_metadata(path.join("object.lock")) {
            objects.push((lock.accessed()?, path));
        }
    }
    objects.sort();
    Ok(objects)
}

/// Removes an object and gives the bytes it took; none if someone uses it.
pub(crate) fn remove_object(store: &Path, object: &Path) -> Result<Option<u64>> {
    let Some(_lock) = entry_lock::try_lock(&object.join("object.lock"), Lock::Exclusive)? else {
        return Ok(None);
    };
    let size = ObjectInfo::read(object)?.map_or(0, |info| info.size);
    // First, so that a half-removed object is never taken for a whole one.
    remove_tree(&object.join("object.info"))?;
    remove_tree(object)?;
    release(store, size)?;
    Ok(Some(size))
}

/// Puts a file in place as a whole: readers see the old one or the new one.
pub(crate) fn replace_file(path: &Path, content: &[u8]) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let temporary = directory.join(format!(".new-{}", unique_name()?));
    let result = fs_err::write(&temporary, content)
        .and_then(|()| fs_err::rename(&temporary, path))
        .with_context(|| format!("writing {}", path.display()));
    if result.is_err() {
        remove_tree(&temporary)?;
    }
    result
}

/// Gives the bytes that a tree takes on disk.
pub(crate) fn disk_usage(path: &Path) -> Result<u64> {
    let metadata = fs_err::symlink_metadata(path)?;
    let mut sum = metadata.blocks() * STAT_BLOCK;
    if metadata.is_dir() {
        for entry in fs_err::read_dir(path)? {
            sum += disk_usage(&entry?.path())?;
        }
    }
    Ok(sum)
}
