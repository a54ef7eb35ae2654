//! Builds that came to no good end, remembered to go on with.
//!
//! ```text
//! STORE/builds/          for its owner only: manifests can have secrets in them
//!   ID.json              what was asked for; the caller's format
//!   ID.lock              exclusive lock while the build runs
//! ```
//!
//! A build is remembered when it begins and forgotten when it succeeds, so what is there without a lock failed, was
//! interrupted, or was killed.
//!
//! Whoever goes on with a build runs what its record says, so records that others could have written are none.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{File, OpenOptions};
use osbuild_sandbox::file_lock;
use rustix::fs::{CWD, Mode, OFlags, mkdirat};
use rustix::io::Errno;

use crate::accounting::{self, OBJECTS, is_pinned, replace_file};
use crate::entry_lock::{self, Lock};
use crate::inventory::FAILED_PREFIX;
use crate::store::Store;
use crate::tree_builder::check_id;

/// The folder of builds that are remembered.
pub(crate) const BUILDS: &str = "builds";
/// Builds, and trees of failed stages, beyond so many are forgotten, the oldest first: nobody goes back further.
const MOST_KEPT: usize = 20;
/// Older ones are forgotten, too.
const LONGEST_KEPT: Duration = Duration::from_hours(30 * 24);
/// How often to ask for a lock that a mere look at it can hold for a moment.
const LOCK_ATTEMPTS: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// Write permission of group and others.
const OTHERS_WRITE: u32 = 0o022;

/// A build that is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfinishedBuild {
    /// Its name.
    pub id: String,
    /// What was noted last.
    pub content: Vec<u8>,
    /// When that was.
    pub noted: SystemTime,
    /// Whether it still runs.
    pub is_running: bool,
}

/// Remembers a build as long as it runs and, unless it is forgotten, afterwards.
#[derive(Debug)]
pub struct RememberedBuild {
    path: PathBuf,
    lock: File,
}

impl Store {
    /// Remembers a build that begins, in place of an earlier one of this id; none if that one still runs.
    ///
    /// What is too old, or too much, is forgotten.
    pub fn remember_build(&self, id: &str, content: &[u8]) -> Result<Option<RememberedBuild>> {
        check_id(id)?;
        let folder = self.builds_dir();
        match mkdirat(CWD, &folder, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("making directory {}", folder.display()));
            }
        }
        check_owner(&folder)?;
        let Some(lock) = lock_build(&folder.join(format!("{id}.lock")))? else {
            return Ok(None);
        };
        let remembered = RememberedBuild {
            path: folder.join(format!("{id}.json")),
            lock,
        };
        remembered.note(content)?;
        self.tidy_builds()?;
        Ok(Some(remembered))
    }

    /// Makes sure that what is remembered here was written by this user or by root.
    ///
    /// # Errors
    /// Others could have written it.
    pub fn check_remembered_builds(&self) -> Result<()> {
        check_owner(&self.builds_dir())
    }

    /// Lists the builds that are remembered, the last noted first; none where others could have written them.
    pub fn unfinished_builds(&self) -> Result<Vec<UnfinishedBuild>> {
        let folder = self.builds_dir();
        if let Err(error) = check_owner(&folder) {
            tracing::debug!("what builds are remembered is not believed: {error:#}");
            return Ok(Vec::new());
        }
        let listed = match fs::read_dir(&folder) {
            Ok(listed) => listed,
            Err(error) if entry_lock::is_gone(&error) => return Ok(Vec::new()),
            // They are for those only who may use the store.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                tracing::debug!(%error, "builds that are remembered are not for this user");
                return Ok(Vec::new());
            }
            Err(error) => return Err(error.into()),
        };
        let mut builds = Vec::new();
        for entry in listed {
            let name = entry?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.strip_suffix(".json")) else {
                continue;
            };
            if let Some(build) = describe(&folder, id)? {
                builds.push(build);
            }
        }
        builds.sort_by_key(|build| std::cmp::Reverse(build.noted));
        Ok(builds)
    }

    /// Forgets the builds that were noted last before a moment and do not run.
    pub fn forget_builds_before(&self, moment: SystemTime) -> Result<()> {
        for build in self.unfinished_builds()? {
            if build.noted < moment {
                self.forget_build(&build.id)?;
            }
        }
        Ok(())
    }

    /// Forgets a build unless it runs; tells whether it did.
    pub fn forget_build(&self, id: &str) -> Result<bool> {
        check_id(id)?;
        let folder = self.builds_dir();
        check_owner(&folder)?;
        let Some(lock) = lock_build(&folder.join(format!("{id}.lock")))? else {
            return Ok(false);
        };
        let path = folder.join(format!("{id}.json"));
        RememberedBuild { path, lock }.forget()?;
        Ok(true)
    }

    /// Forgets builds, and removes trees that failed stages left, beyond what the rules allow.
    fn tidy_builds(&self) -> Result<()> {
        let oldest = SystemTime::now()
            .checked_sub(LONGEST_KEPT)
            .unwrap_or(SystemTime::UNIX_EPOCH);
        for (index, build) in self.unfinished_builds()?.into_iter().enumerate() {
            if index >= MOST_KEPT || build.noted < oldest {
                self.forget_build(&build.id)?;
            }
        }
        Ok(())
    }

    /// Removes trees that failed stages left, beyond what the rules allow.
    pub(crate) fn tidy_failed_trees(&self) -> Result<()> {
        let oldest = SystemTime::now()
            .checked_sub(LONGEST_KEPT)
            .unwrap_or(SystemTime::UNIX_EPOCH);
        for (index, (used, path)) in self.failed_trees()?.into_iter().enumerate() {
            if index >= MOST_KEPT || used < oldest {
                accounting::remove_object(self.root(), &path)?;
            }
        }
        Ok(())
    }

    /// Lists the trees that failed stages left and nobody pinned, the last used first.
    fn failed_trees(&self) -> Result<Vec<(SystemTime, PathBuf)>> {
        let mut trees = Vec::new();
        for entry in fs::read_dir(self.root().join(OBJECTS))? {
            let entry = entry?;
            let is_failed = entry
                .file_name()
                .to_string_lossy()
                .starts_with(FAILED_PREFIX);
            if !is_failed || is_pinned(&entry.path()) {
                continue;
            }
            if let Ok(lock) = fs::symlink_metadata(entry.path().join("object.lock")) {
                trees.push((lock.accessed()?, entry.path()));
            }
        }
        trees.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
        Ok(trees)
    }

    fn builds_dir(&self) -> PathBuf {
        self.root().join(BUILDS)
    }
}

impl RememberedBuild {
    /// Replaces what is noted of the build.
    pub fn note(&self, content: &[u8]) -> Result<()> {
        replace_file(&self.path, content)
    }

    /// Forgets the build, for it succeeded.
    pub fn forget(self) -> Result<()> {
        for path in [self.path.as_path(), self.lock.path()] {
            match fs::remove_file(path) {
                Err(error) if !entry_lock::is_gone(&error) => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Makes sure that a folder of records, if it is there, is a directory that only this user and root can write in.
fn check_owner(folder: &Path) -> Result<()> {
    let found = match fs::symlink_metadata(folder) {
        Ok(found) => found,
        Err(error) if entry_lock::is_gone(&error) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !found.is_dir() {
        bail!("{} is no directory", folder.display());
    }
    if found.uid() != 0 && found.uid() != rustix::process::geteuid().as_raw() {
        bail!("{} belongs to user {}", folder.display(), found.uid());
    }
    if found.mode() & OTHERS_WRITE != 0 {
        bail!("{} can be written by other users", folder.display());
    }
    Ok(())
}

/// Takes the lock of a build that does not run; none if it does.
fn lock_build(path: &Path) -> Result<Option<File>> {
    for _ in 0..LOCK_ATTEMPTS {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)?;
        let is_locked = file_lock::try_lock_exclusive(&file)
            .with_context(|| format!("locking {}", path.display()))?;
        // Who forgot the build may have removed the file since it was opened.
        if is_locked && entry_lock::is_at(&file, path)? {
            return Ok(Some(file));
        }
        thread::sleep(LOCK_PAUSE);
    }
    Ok(None)
}

/// Reads what is noted of a build; none if it is forgotten just now.
fn describe(folder: &Path, id: &str) -> Result<Option<UnfinishedBuild>> {
    let path = folder.join(format!("{id}.json"));
    let lock = folder.join(format!("{id}.lock"));
    let (content, noted) = match fs::read(&path).and_then(|content| {
        let noted = fs::metadata(&path)?.modified()?;
        Ok((content, noted))
    }) {
        Ok(read) => read,
        Err(error) if entry_lock::is_gone(&error) => return Ok(None),
        // Not one of ours.
        Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let is_running = lock.exists() && entry_lock::try_lock(&lock, Lock::Shared)?.is_none();
    Ok(Some(UnfinishedBuild {
        id: id.to_owned(),
        content,
        noted,
        is_running,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StoreOptions;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store"), &StoreOptions::default()).unwrap();
        (folder, store)
    }

    fn listed(store: &Store) -> Vec<(String, Vec<u8>, bool)> {
        let builds = store.unfinished_builds().unwrap().into_iter();
        builds
            .map(|build| (build.id, build.content, build.is_running))
            .collect()
    }

    #[test]
    fn a_build_is_remembered_until_it_is_forgotten() {
        let (_folder, store) = store();
        assert_eq!(listed(&store), []);
        let build = store.remember_build("a", b"one").unwrap().unwrap();
        assert_eq!(listed(&store), [("a".to_owned(), b"one".to_vec(), true)]);
        assert!(store.remember_build("a", b"other").unwrap().is_none());
        assert!(!store.forget_build("a").unwrap());
        build.note(b"two").unwrap();
        drop(build);
        assert_eq!(listed(&store), [("a".to_owned(), b"two".to_vec(), false)]);
        let again = store.remember_build("a", b"three").unwrap().unwrap();
        again.forget().unwrap();
        assert_eq!(listed(&store), []);
        assert_eq!(fs::read_dir(store.builds_dir()).unwrap().count(), 0);
        assert!(store.remember_build("../a", b"").is_err());
    }

    #[test]
    fn what_others_could_have_written_is_not_believed() {
        let (folder, store) = store();
        drop(store.remember_build("a", b"one").unwrap());
        let builds = store.builds_dir();
        let is_refused = |reason: &str| {
            let error = store.check_remembered_builds().unwrap_err().to_string();
            assert!(error.ends_with(reason), "{error}");
            assert_eq!(listed(&store), []);
            assert!(store.remember_build("b", b"").is_err());
            assert!(store.forget_build("a").is_err());
        };
        let set_mode = |mode| {
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(&builds, permissions).unwrap();
        };
        set_mode(0o770);
        is_refused("can be written by other users");
        set_mode(0o700);
        assert_eq!(listed(&store).len(), 1);
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&builds, Some(1), None).unwrap();
            is_refused("belongs to user 1");
            std::os::unix::fs::chown(&builds, Some(0), None).unwrap();
        }
        fs::rename(&builds, folder.path().join("elsewhere")).unwrap();
        fs::os::unix::fs::symlink(folder.path().join("elsewhere"), &builds).unwrap();
        is_refused("is no directory");
    }

    #[test]
    fn a_lock_that_leads_elsewhere_is_not_followed() {
        let (folder, store) = store();
        drop(store.remember_build("a", b"one").unwrap());
        let elsewhere = folder.path().join("elsewhere");
        let lock = store.builds_dir().join("b.lock");
        fs::os::unix::fs::symlink(&elsewhere, lock).unwrap();
        assert!(store.remember_build("b", b"").is_err());
        assert!(!elsewhere.exists());
        // What is no record is passed over.
        fs::create_dir(store.builds_dir().join("d.json")).unwrap();
        assert_eq!(listed(&store).len(), 1);
    }

    #[test]
    fn too_many_and_too_old_builds_are_forgotten() {
        let (_folder, store) = store();
        drop(store.remember_build("old", b"").unwrap());
        let now = SystemTime::now();
        let set_noted = |id: &str, moment: SystemTime| {
            let path = store.builds_dir().join(format!("{id}.json"));
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(moment).unwrap();
        };
        set_noted("old", now - LONGEST_KEPT - Duration::from_mins(1));
        // Apart by more than the clock of the file system.
        for number in 0..=MOST_KEPT {
            let id = format!("n{number}");
            drop(store.remember_build(&id, b"").unwrap());
            let age = u64::try_from(MOST_KEPT + 1 - number).unwrap();
            set_noted(&id, now - Duration::from_secs(age));
        }
        let ids: Vec<String> = listed(&store).into_iter().map(|build| build.0).collect();
        assert_eq!(ids.len(), MOST_KEPT);
        assert!(!ids.contains(&"old".to_owned()) && !ids.contains(&"n0".to_owned()));
        store
            .forget_builds_before(now + Duration::from_mins(1))
            .unwrap();
        assert_eq!(listed(&store), []);
    }

    #[test]
    fn too_many_failed_trees_are_removed_but_for_pinned_ones() {
        let (_folder, store) = store();
        for number in 0..=MOST_KEPT {
            let builder = store.new_tree().unwrap();
            builder.keep_failed(&format!("{number:064}")).unwrap();
            if number == 0 {
                let entries = store.entries().unwrap();
                store.pin(&entries[0]).unwrap();
            }
        }
        assert_eq!(store.entries().unwrap().len(), MOST_KEPT + 1);
        let builder = store.new_tree().unwrap();
        builder.keep_failed(&"f".repeat(64)).unwrap();
        let entries = store.entries().unwrap();
        assert_eq!(entries.len(), MOST_KEPT + 1);
        assert!(entries.iter().any(|entry| entry.is_pinned));
    }
}
