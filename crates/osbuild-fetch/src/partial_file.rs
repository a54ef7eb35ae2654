//! A file that is being fetched: lock, unverified bytes and digest in one.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err::File;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use rustix::fs::{FlockOperation, OFlags, flock};

use crate::sink::{Sink, WriteFailure};
use crate::{Checksum, FetchError, Hasher};

/// How often a fetcher looks whether another one is done with the file.
const LOCK_POLL: Duration = Duration::from_millis(50);

const READ_SIZE: usize = 256 * 1024;

/// The unverified bytes of one file. The lock on it is held as long as this lives; unless it was
/// committed, dropping it removes the bytes.
pub(crate) struct PartialFile {
    file: File,
    path: PathBuf,
    target: PathBuf,
    expected: Checksum,
    hasher: Hasher,
    length: u64,
    is_committed: bool,
}

/// What waiting for a file's lock ends with.
pub(crate) enum Acquired {
    /// The file is in the cache.
    Present {
        /// Its size.
        bytes: u64,
    },
    /// The file is ours to fetch.
    Locked(Box<PartialFile>),
}

/// The size of a file in the cache, if it is there.
pub(crate) fn cached_size(target: &Path) -> Option<u64> {
    fs_err::metadata(target)
        .ok()
        .filter(std::fs::Metadata::is_file)
        .map(|metadata| metadata.len())
}

impl PartialFile {
    /// Waits until the file is in the cache or its lock is ours.
    pub(crate) async fn acquire(
        directory: &Path,
        name: &str,
        expected: &Checksum,
    ) -> Result<Acquired, io::Error> {
        let target = directory.join(name);
        let path = directory.join(format!(".unverified-{name}"));
        let mut is_waiting = false;
        loop {
            if let Some(bytes) = cached_size(&target) {
                return Ok(Acquired::Present { bytes });
            }
            match Self::try_lock(&path)? {
                Some(file) => {
                    let mut partial = Self {
                        file,
                        path,
                        target,
                        expected: expected.clone(),
                        hasher: Hasher::new(expected.algorithm()),
                        length: 0,
                        is_committed: false,
                    };
                    // Another fetcher may have finished between the look and the lock.
                    if let Some(bytes) = cached_size(&partial.target) {
                        return Ok(Acquired::Present { bytes });
                    }
                    partial.take_over()?;
                    return Ok(Acquired::Locked(Box::new(partial)));
                }
                None => {
                    if !is_waiting {
                        tracing::info!("waiting for another fetcher of `{name}`");
                        is_waiting = true;
                    }
                    tokio::time::sleep(LOCK_POLL).await;
                }
            }
        }
    }

    /// Opens and locks the file; none if another fetcher has it, or had it and removed it.
    fn try_lock(path: &Path) -> io::Result<Option<File>> {
        let file = fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        Ok(is_still_at(&file, path)?.then_some(file))
    }

    /// Hashes what a killed fetcher left, so that the transfer goes on there.
    fn take_over(&mut self) -> io::Result<()> {
        self.file
            .set_permissions(std::fs::Permissions::from_mode(0o644))?;
        let mut buffer = vec![0; READ_SIZE];
        loop {
            let count = self.file.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            self.hasher.update(&buffer[..count]);
            self.length += count as u64;
        }
    }

    fn truncate(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        Ok(())
    }

    /// Where the file is unverified.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the bytes their name, if they have the right checksum; otherwise returns what they
    /// hash to.
    pub(crate) fn commit(&mut self) -> Result<Result<u64, Checksum>, io::Error> {
        let actual = self.hasher.clone().finish();
        if actual != self.expected {
            return Ok(Err(actual));
        }
        fs_err::rename(&self.path, &self.target)?;
        self.is_committed = true;
        Ok(Ok(self.length))
    }
}

fn is_still_at(file: &File, path: &Path) -> io::Result<bool> {
    let opened = file.metadata()?;
    match fs_err::symlink_metadata(path) {
        Ok(named) => Ok(named.dev() == opened.dev() && named.ino() == opened.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl Sink for PartialFile {
    fn length(&self) -> u64 {
        self.length
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), WriteFailure> {
        self.file.write_all(bytes).map_err(|source| WriteFailure {
            path: self.path.clone(),
            source,
        })?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn reset(&mut self) -> Result<(), WriteFailure> {
        self.truncate().map_err(|source| WriteFailure {
            path: self.path.clone(),
            source,
        })?;
        self.hasher = Hasher::new(self.expected.algorithm());
        self.length = 0;
        Ok(())
    }

    fn check_room(&self, url: &str, more: u64) -> Result<(), FetchError> {
        crate::disk_space::check(&self.path, url, more)
    }

    fn is_complete(&self) -> bool {
        self.hasher.clone().finish() == self.expected
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if self.is_committed {
            return;
        }
        match is_still_at(&self.file, &self.path) {
            Ok(false) => {}
            Ok(true) => {
                if let Err(error) = fs_err::remove_file(&self.path) {
                    tracing::warn!("cannot remove an unfinished download: {error}");
                }
            }
            Err(error) => tracing::warn!("cannot look at an unfinished download: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abc() -> Checksum {
        "md5:900150983cd24fb0d6963f7d28e17f72".parse().unwrap()
    }

    fn acquire(directory: &Path) -> Acquired {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(PartialFile::acquire(directory, "x", &abc()))
            .unwrap()
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs_err::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn bytes_have_no_name_before_their_checksum_is_right() {
        let directory = tempfile::tempdir().unwrap();
        let Acquired::Locked(mut partial) = acquire(directory.path()) else {
            panic!("the cache was empty");
        };
        partial.append(b"abx").unwrap();
        assert_eq!(names(directory.path()), [".unverified-x"]);
        assert!(partial.commit().unwrap().is_err());
        partial.reset().unwrap();
        partial.append(b"abc").unwrap();
        assert_eq!(partial.commit().unwrap().unwrap(), 3);
        drop(partial);
        assert_eq!(names(directory.path()), ["x"]);
        assert_eq!(fs_err::read(directory.path().join("x")).unwrap(), b"abc");
        assert!(matches!(
            acquire(directory.path()),
            Acquired::Present { bytes: 3 }
        ));
    }

    #[test]
    fn giving_up_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let Acquired::Locked(mut partial) = acquire(directory.path()) else {
            panic!("the cache was empty");
        };
        partial.append(b"ab").unwrap();
        drop(partial);
        assert_eq!(names(directory.path()), Vec::<String>::new());
    }

    #[test]
    fn what_a_killed_fetcher_left_is_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join(".unverified-x"), b"ab").unwrap();
        let Acquired::Locked(mut partial) = acquire(directory.path()) else {
            panic!("the cache was empty");
        };
        assert_eq!(partial.length(), 2);
        partial.append(b"c").unwrap();
        assert_eq!(partial.commit().unwrap().unwrap(), 3);
    }
}
