//! The digest of this program, noted in the store: reading all of it for each build takes longer than to plan one.
//!
//! What is noted holds for one file only, told by its place on the disk, its size and its times. The kernel sets the time
//! of change whenever the content is written; nobody can set it back without setting the clock back.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use osbuild_store::{Store, replace_file};
use serde::{Deserialize, Serialize};

use crate::code_digest::file_digest;

/// The file in the store.
const FILE: &str = "program-digest";

/// A file that was changed more recently than this may be changed again at the same time by a coarse clock.
const SETTLED: Duration = Duration::from_secs(2);

/// What is in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Noted {
    file: FileIdentity,
    digest: String,
}

/// Tells a file and its content from others.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileIdentity {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Seconds and nanoseconds.
    changed: (i64, i64),
}

impl FileIdentity {
    fn of(path: &Path) -> Result<Self> {
        let metadata = fs_err::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    fn is_settled(&self, now: SystemTime) -> bool {
        let changed = u64::try_from(self.changed.0).unwrap_or_default();
        let changed = UNIX_EPOCH + Duration::from_secs(changed);
        now.duration_since(changed)
            .is_ok_and(|since| since > SETTLED)
    }
}

/// Notes the digest of `program`, unless that was done. A store that can not be written to stays as it is.
pub(crate) fn note(store: &Store, program: &Path) -> Result<()> {
    if noted(store, program)?.is_some() {
        return Ok(());
    }
    let file = FileIdentity::of(program)?;
    let digest = file_digest(program)?;
    if file != FileIdentity::of(program)? || !file.is_settled(SystemTime::now()) {
        return Ok(());
    }
    let text = serde_json::to_vec(&Noted { file, digest })?;
    if let Err(error) = replace_file(&path(store), &text) {
        tracing::debug!("the digest of this program was not noted: {error:#}");
    }
    Ok(())
}

/// Gives the digest of `program` if it was noted.
pub(crate) fn noted(store: &Store, program: &Path) -> Result<Option<String>> {
    let text = match fs_err::read(path(store)) {
        Ok(text) => text,
        Err(error) => {
            tracing::debug!("no digest of this program is noted: {error}");
            return Ok(None);
        }
    };
    let file = FileIdentity::of(program)?;
    let noted = serde_json::from_slice::<Noted>(&text).ok();
    Ok(noted
        .filter(|noted| noted.file == file)
        .map(|noted| noted.digest))
}

fn path(store: &Store) -> PathBuf {
    store.root().join(FILE)
}

#[cfg(test)]
mod tests {
    use osbuild_store::StoreOptions;

    use super::*;

    #[test]
    fn what_is_noted_holds_until_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store"), &StoreOptions::default()).unwrap();
        // A program that has been there for a while.
        let program = Path::new("/bin/sh");
        note(&store, program).unwrap();
        assert_eq!(
            noted(&store, program).unwrap(),
            Some(file_digest(program).unwrap())
        );
        let other = folder.path().join("program");
        fs_err::copy(program, &other).unwrap();
        assert_eq!(noted(&store, &other).unwrap(), None);
        // It was changed just now.
        note(&store, &other).unwrap();
        assert_eq!(noted(&store, &other).unwrap(), None);
        fs_err::write(path(&store), "rubbish").unwrap();
        assert_eq!(noted(&store, program).unwrap(), None);
    }
}
