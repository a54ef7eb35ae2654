//! Puts finished trees where other builds find them: by a rename, so that what is visible is whole.

use std::path::Path;

use anyhow::{Context as _, Result};
use fs_err as fs;
use osbuild_sandbox::file_lock;
use rustix::fs::CWD;
use rustix::io::Errno;
use serde_json::Value;

use crate::accounting;
use crate::object::{Object, ObjectInfo};
use crate::remove_tree::remove_tree;
use crate::steps::{KEY_PARTS, STEP_INFO, StepInfo, StepRecord};
use crate::store::Store;
use crate::survey::{disk_usage, survey};
use crate::temporary::unique_name;
use crate::tree_builder::Finished;

/// Keeps a tree under the id of the stage that finished it.
pub(crate) fn commit_object(finished: Finished, id: &str) -> Result<Object> {
    let size = disk_usage(finished.staging.path())?;
    let target = finished.store.objects_dir().join(id);
    let find = |store: &Store| store.object(id);
    match commit(finished, size, &target, &find)? {
        Committed::Renamed(store, _held) => {
            let object = store.object(id)?;
            object.with_context(|| format!("{id} vanished from the store"))
        }
        Committed::Found(object) => Ok(object),
        Committed::Refused(finished) => finished.float(id),
    }
}

/// Keeps a tree as the step of a key.
pub(crate) fn commit_step(
    finished: Finished,
    key: &str,
    record: &StepRecord,
    parts: &Value,
) -> Result<Object> {
    let place = finished.staging.path();
    let base = match &finished.base {
        None => None,
        Some(base) => match base.as_base() {
            Some(base) => Some(base.clone()),
            // It can not stand on what is gone tomorrow.
            None => return finished.float(&record.stage_id),
        },
    };
    let tree = place.join("data/tree");
    let is_whole = finished.stack == [tree.clone()];
    let (size, is_special) = if is_whole {
        let survey = survey(&tree)?;
        (survey.size, survey.is_special)
    } else {
        (disk_usage(place)?, false)
    };
    let layers = place.join("layers");
    let own_layers = finished
        .stack
        .iter()
        .filter(|path| path.starts_with(&layers));
    let info = StepInfo {
        instance: unique_name()?,
        base,
        layers: own_layers.count(),
        is_special,
        record: record.clone(),
    };
    fs::write(place.join(STEP_INFO), serde_json::to_vec(&info)?)?;
    fs::write(place.join(KEY_PARTS), serde_json::to_vec(parts)?)?;
    let target = finished.store.steps_dir().join(key);
    let find = |store: &Store| store.step(key);
    match commit(finished, size, &target, &find)? {
        Committed::Renamed(store, _held) => {
            let object = store.step(key)?;
            object.with_context(|| format!("step {key} vanished from the store"))
        }
        Committed::Found(object) => Ok(object),
        Committed::Refused(finished) => finished.float(&record.stage_id),
    }
}

/// What came of a commit.
enum Committed {
    /// It is there now, and stays as long as this is held.
    Renamed(Store, Held),
    /// Another build was faster.
    Found(Object),
    /// There is no room, or something that is in use has its place.
    Refused(Finished),
}

/// What keeps a new entry, and what it stands on, from being removed before it is opened.
struct Held {
    _lock: fs::File,
    _base: Option<Object>,
}

/// Books the bytes and renames the entry.
fn commit(
    finished: Finished,
    size: u64,
    target: &Path,
    find: &dyn Fn(&Store) -> Result<Option<Object>>,
) -> Result<Committed> {
    let root = finished.store.root().to_owned();
    if !accounting::reserve(&root, finished.store.maximum_size(), size)? {
        tracing::info!(target = %target.display(), size, "the store has no room for this tree");
        return Ok(Committed::Refused(finished));
    }
    let committed = rename(finished, size, target, find);
    if !matches!(committed, Ok(Committed::Renamed(..))) {
        accounting::release(&root, size)?;
    }
    committed
}

fn rename(
    finished: Finished,
    size: u64,
    target: &Path,
    find: &dyn Fn(&Store) -> Result<Option<Object>>,
) -> Result<Committed> {
    let store = finished.store.clone();
    let info = ObjectInfo {
        creation_boot_id: store.boot_id().to_owned(),
        size,
        durable: false,
    };
    let info_path = finished.staging.path().join("object.info");
    fs::write(&info_path, serde_json::to_vec(&info)?)?;
    match rename_to_new(finished.staging.path(), target) {
        Ok(()) => {}
        Err(Errno::EXIST | Errno::NOTEMPTY) => {
            if let Some(object) = find(&store)? {
                return Ok(Committed::Found(object));
            }
            // Incomplete, not to be trusted after a power cut, or on its way out.
            accounting::remove_object(store.root(), target)?;
            if rename_to_new(finished.staging.path(), target).is_err() {
                remove_tree(&info_path)?;
                return Ok(Committed::Refused(finished));
            }
        }
        Err(error) => {
            return Err(error).with_context(|| format!("committing {}", target.display()));
        }
    }
    store.note_committed(target);
    let lock = finished.staging.into_lock();
    // Lets readers in.
    file_lock::lock_shared(&lock).with_context(|| format!("locking {}", target.display()))?;
    let held = Held {
        _lock: lock,
        _base: finished.base,
    };
    Ok(Committed::Renamed(store, held))
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
