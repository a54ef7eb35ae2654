//! Keeps the objects of a store within its limit.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use fs_err::{File, OpenOptions};
use osbuild_sandbox::file_lock;
use rustix::io::Errno;

use crate::entry_lock::{self, Lock};
use crate::object::ObjectInfo;
use crate::remove_tree::remove_tree;
use crate::size::MaximumSize;
use crate::temporary::unique_name;
use crate::{digests, staging, steps};

/// The folder of trees that were asked for.
pub(crate) const OBJECTS: &str = "objects";
/// The folder of trees that were kept unasked.
pub(crate) const STEPS: &str = "steps";
/// The file that keeps an object or step from being removed.
pub(crate) const PIN: &str = "pinned";
/// The folder of trees in the making, and of those on their way out.
pub(crate) const STAGE: &str = "stage";
/// How the name of a file begins that is not whole yet.
const UNFINISHED: &str = ".new-";
/// What an object or step can have in it beside its lock.
const PARTS: [&str; 7] = [
    "data",
    "layers",
    "object.info",
    digests::FILE,
    steps::STEP_INFO,
    steps::KEY_PARTS,
    PIN,
];

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

/// Adds up what objects and steps say they take.
fn recount(store: &Path) -> Result<u64> {
    let mut sum = 0;
    for path in entries(store)? {
        if let Some(info) = ObjectInfo::read(&path)? {
            sum += info.size;
        }
    }
    Ok(sum)
}

/// Lists what is kept: objects, then steps.
pub(crate) fn entries(store: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for folder in [OBJECTS, STEPS] {
        match fs_err::read_dir(store.join(folder)) {
            Ok(entries) => {
                for entry in entries {
                    paths.push(entry?.path());
                }
            }
            // A store of upstream has no steps.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(paths)
}

/// Removes what was used longest ago until `wanted` bytes are free.
fn evict(store: &Path, wanted: u64) -> Result<()> {
    remove_unused(store, &|freed, _| freed < wanted).map(drop)
}

/// Removes what nobody uses, the one that was used longest ago first, as long as `wants` says so of the bytes freed so
/// far and the last use of the next. Gives the bytes that were freed.
///
/// A step that others stand on goes after them, and what is pinned stays.
pub(crate) fn remove_unused(store: &Path, wants: &dyn Fn(u64, SystemTime) -> bool) -> Result<u64> {
    let mut freed = 0;
    let mut dependents = steps::dependents(store)?;
    let mut candidates = by_last_use(store)?;
    // A step that is passed over because of others on it may be free once these are gone.
    loop {
        let before = candidates.len();
        let mut left = Vec::new();
        for (used, path) in candidates {
            if !wants(freed, used) {
                continue;
            }
            let step = step_key(store, &path);
            if step.is_some_and(|key| dependents.get(key).is_some_and(|count| *count > 0)) {
                left.push((used, path));
                continue;
            }
            let base = steps::StepInfo::read(&path).and_then(|info| info.base);
            if let Some(bytes) = remove_object(store, &path)? {
                freed += bytes;
                if let Some(count) = base.and_then(|base| dependents.get_mut(&base.key)) {
                    *count -= 1;
                }
            }
        }
        candidates = left;
        if candidates.is_empty() || candidates.len() == before {
            return Ok(freed);
        }
    }
}

/// Gives the key of a step; none for an object.
fn step_key<'a>(store: &Path, path: &'a Path) -> Option<&'a str> {
    let is_step = path.parent() == Some(&store.join(STEPS));
    path.file_name()
        .and_then(|name| name.to_str())
        .filter(|_| is_step)
}

/// Lists what may be removed, the one that was used longest ago first.
fn by_last_use(store: &Path) -> Result<Vec<(SystemTime, PathBuf)>> {
    let mut objects = Vec::new();
    for path in entries(store)? {
        if is_pinned(&path) {
            continue;
        }
        // Without a lock file it is no object; someone may be removing it right now.
        if let Ok(lock) = fs_err::symlink_metadata(path.join("object.lock")) {
            objects.push((lock.accessed()?, path));
        }
    }
    objects.sort();
    Ok(objects)
}

/// Tells whether an object or step is to stay until it is unpinned.
pub(crate) fn is_pinned(path: &Path) -> bool {
    path.join(PIN).symlink_metadata().is_ok()
}

/// Removes an object and gives the bytes it took; none if someone uses it.
///
/// Its name is free at once: what is left of a removal that is killed is in `stage`, in nobody's way.
pub(crate) fn remove_object(store: &Path, object: &Path) -> Result<Option<u64>> {
    let Some(_lock) = entry_lock::try_lock(&object.join("object.lock"), Lock::Exclusive)? else {
        return Ok(None);
    };
    let size = ObjectInfo::read(object)?.map_or(0, |info| info.size);
    let aside = staging::new_place(&store.join(STAGE))?;
    let place = match rustix::fs::rename(object, &aside) {
        Ok(()) => aside,
        // Only what is left by a killed removal can be taken for an object then, and it says that it is none.
        Err(Errno::XDEV) => {
            remove_tree(&object.join("object.info"))?;
            object.to_owned()
        }
        Err(error) => {
            return Err(error).with_context(|| format!("moving {} aside", object.display()));
        }
    };
    release(store, size)?;
    remove_tree(&place)?;
    Ok(Some(size))
}

/// Mends what a kill in the middle of a change leaves: half-removed entries, half-written files, bytes that are booked
/// for nothing. Nobody else may have the store open.
pub(crate) fn mend(store: &Path) -> Result<()> {
    for entry in fs_err::read_dir(store)? {
        let entry = entry?;
        if entry
            .file_name()
            .as_bytes()
            .starts_with(UNFINISHED.as_bytes())
        {
            remove_tree(&entry.path())?;
        }
    }
    for path in entries(store)? {
        if is_remnant(&path)? {
            tracing::debug!(path = %path.display(), "removing what a killed removal left");
            remove_tree(&path)?;
        }
    }
    // Bytes are booked before a tree leaves `stage` and given back after it came there: whoever was killed in between
    // left it there.
    if fs_err::read_dir(store.join(STAGE))?.next().is_some() {
        let size = recount(store)?;
        change(store, |_| Some(size))?;
    }
    Ok(())
}

/// Tells whether an entry has lost its lock file, and with it the name of an object, and holds nothing but parts of one.
fn is_remnant(path: &Path) -> Result<bool> {
    if path.join("object.lock").symlink_metadata().is_ok() || !path.is_dir() {
        return Ok(false);
    }
    for part in fs_err::read_dir(path)? {
        let part = part?;
        if !PARTS.iter().any(|known| part.file_name() == *known) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Puts a file in place as a whole: readers see the old one or the new one.
pub fn replace_file(path: &Path, content: &[u8]) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let temporary = directory.join(format!("{UNFINISHED}{}", unique_name()?));
    let result = fs_err::write(&temporary, content)
        .and_then(|()| fs_err::rename(&temporary, path))
        .with_context(|| format!("writing {}", path.display()));
    if result.is_err() {
        remove_tree(&temporary)?;
    }
    result
}
