//! Tells whether anything looked into a directory.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
use rustix::io::Errno;

/// Watches a directory with everything below it, from when it is made, for programs that open or list it: inotify(7).
///
/// Looking at names alone (`stat`, `O_PATH`) is no access.
#[derive(Debug)]
pub struct AccessWatch {
    inotify: OwnedFd,
    directories: BTreeMap<i32, PathBuf>,
}

impl AccessWatch {
    /// Begins to watch.
    ///
    /// # Errors
    /// The directory can not be listed, or the machine has no watches left.
    pub fn new(root: &Path) -> Result<Self> {
        let inotify = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let mut found = vec![root.to_owned()];
        let mut index = 0;
        // All are listed before the first watch is set: listing is an access.
        while let Some(directory) = found.get(index).cloned() {
            for entry in fs_err::read_dir(&directory)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    found.push(entry.path());
                }
            }
            index += 1;
        }
        let mut directories = BTreeMap::new();
        for directory in found {
            let flags = WatchFlags::OPEN | WatchFlags::ACCESS;
            let watch = add_watch(&inotify, &directory, flags)
                .with_context(|| format!("watching {}", directory.display()))?;
            directories.insert(watch, directory);
        }
        Ok(Self {
            inotify,
            directories,
        })
    }

    /// Gives the paths that were opened, read or listed until now.
    ///
    /// # Errors
    /// The kernel can not tell, or dropped some.
    pub fn accessed(self) -> Result<BTreeSet<PathBuf>> {
        let mut accessed = BTreeSet::new();
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(&self.inotify, &mut buffer);
        loop {
            let event = match events.next() {
                Err(Errno::WOULDBLOCK) => return Ok(accessed),
                event => event.context("reading what was accessed")?,
            };
            let directory = self
                .directories
                .get(&event.wd())
                .context("more was accessed than the kernel keeps")?;
            accessed.insert(match event.file_name() {
                None => directory.clone(),
                Some(name) => directory.join(name.to_string_lossy().as_ref()),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_and_listing_are_seen_and_looking_at_names_is_not() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        fs_err::create_dir(root.join("a")).unwrap();
        fs_err::write(root.join("a/read"), "x").unwrap();
        fs_err::write(root.join("a/seen"), "x").unwrap();
        let watch = AccessWatch::new(root).unwrap();
        fs_err::metadata(root.join("a/seen")).unwrap();
        assert_eq!(watch.accessed().unwrap(), BTreeSet::new());
        let watch = AccessWatch::new(root).unwrap();
        fs_err::read(root.join("a/read")).unwrap();
        let expected = BTreeSet::from([root.join("a/read")]);
        assert_eq!(watch.accessed().unwrap(), expected);
        let watch = AccessWatch::new(root).unwrap();
        assert_eq!(fs_err::read_dir(root.join("a")).unwrap().count(), 2);
        assert_eq!(watch.accessed().unwrap(), BTreeSet::from([root.join("a")]));
    }
}
