//! The tree to unpack into: directories opened inside the root, and the links of a merged `/usr`.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::TopLevel;

/// The directories that a merged `/usr` has links for.
const ALIASES: [&str; 7] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32"];
/// A rename elsewhere at the same moment makes openat2 give up.
const OPEN_ATTEMPTS: u32 = 128;

/// The root directory of the tree.
#[derive(Debug)]
pub(in crate::deb) struct Root {
    descriptor: OwnedFd,
    top_level: TopLevel,
    /// Top-level names that are links to their namesakes in `/usr`.
    aliases: Mutex<BTreeSet<&'static str>>,
}

impl Root {
    pub(in crate::deb) fn open(tree: &Path, top_level: TopLevel) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::openat(CWD, tree, flags, Mode::empty())
            .map_err(io::Error::from)
            .with_context(|| format!("opening the tree {}", tree.display()))?;
        let root = Self {
            descriptor,
            top_level,
            aliases: Mutex::default(),
        };
        root.find_aliases()?;
        Ok(root)
    }

    /// Notes which top-level names are links already.
    pub(in crate::deb) fn find_aliases(&self) -> Result<()> {
        let mut aliases = self.aliases.lock().expect("no thread panics with it");
        for name in ALIASES {
            match rustix::fs::readlinkat(&self.descriptor, name, Vec::new()) {
                Ok(target) => {
                    let target = target.to_bytes();
                    let target = target.strip_prefix(b"/").unwrap_or(target);
                    if target.strip_prefix(b"usr/") == Some(name.as_bytes()) {
                        aliases.insert(name);
                    }
                }
                Err(Errno::NOENT | Errno::INVAL) => {}
                Err(error) => {
                    return Err(io::Error::from(error)).context("looking for a merged /usr");
                }
            }
        }
        Ok(())
    }

    /// The path that a name leads to when `/bin` and its kin are links; makes the link if it is due.
    pub(in crate::deb) fn canonical(&self, path: &[u8]) -> Result<Vec<u8>> {
        let first = path.split(|&byte| byte == b'/').next().unwrap_or_default();
        let Some(name) = ALIASES
            .iter()
            .copied()
            .find(|name| name.as_bytes() == first)
        else {
            return Ok(path.to_vec());
        };
        let mut aliases = self.aliases.lock().expect("no thread panics with it");
        if !aliases.contains(name) {
            if self.top_level == TopLevel::AsShipped {
                return Ok(path.to_vec());
            }
            self.merge(name)
                .with_context(|| format!("linking /{name} to /usr/{name}"))?;
            aliases.insert(name);
        }
        Ok([b"usr/", path].concat())
    }

    fn merge(&self, name: &str) -> Result<()> {
        for directory in ["usr".to_owned(), format!("usr/{name}")] {
            match rustix::fs::mkdirat(&self.descriptor, &directory, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        match rustix::fs::symlinkat(format!("usr/{name}"), &self.descriptor, name) {
            // A directory that was there before stays one, as with dpkg.
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// Opens something below the root; links are followed, inside it.
    pub(in crate::deb) fn open_at(
        &self,
        path: &[u8],
        flags: OFlags,
    ) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() {
            b".".as_slice()
        } else {
            path
        };
        let mut attempts = 0;
        loop {
            let opened = rustix::fs::openat2(
                &self.descriptor,
                path,
                flags | OFlags::CLOEXEC,
                Mode::empty(),
                ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
            );
            match opened {
                Err(Errno::AGAIN) if attempts < OPEN_ATTEMPTS => attempts += 1,
                opened => return opened,
            }
        }
    }

    /// Opens a directory for work in it.
    pub(in crate::deb) fn directory(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Tells whether the path leads to a directory.
    pub(in crate::deb) fn is_directory(&self, path: &[u8]) -> bool {
        self.open_at(path, OFlags::PATH | OFlags::DIRECTORY).is_ok()
    }

    /// Tells what the entry itself is, if it is there.
    pub(in crate::deb) fn entry_type(parent: &OwnedFd, name: &[u8]) -> Result<Option<FileType>> {
        match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// Reads a file if it is there.
    pub(in crate::deb) fn read_if_exists(&self, path: &[u8]) -> Result<Option<Vec<u8>>> {
        let file = match self.open_at(path, OFlags::RDONLY) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => {
                return Err(io::Error::from(error))
                    .with_context(|| format!("opening /{}", String::from_utf8_lossy(path)));
            }
        };
        let mut bytes = Vec::new();
        std::fs::File::from(file).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Writes a whole file, which replaces whatever is there; directories above it are made.
    pub(in crate::deb) fn write(&self, path: &[u8], content: &[u8], mode: u32) -> Result<()> {
        let write = || -> io::Result<()> {
            let (parent, name) = super::claims::split(path);
            let parent = self.make_directories(parent)?;
            match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(mode))?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
            std::fs::File::from(file).write_all(content)
        };
        write().with_context(|| format!("writing /{}", String::from_utf8_lossy(path)))
    }

    /// Adds to the end of a file, which is made if it is not there.
    pub(in crate::deb) fn append(&self, path: &[u8], content: &[u8]) -> Result<()> {
        let mut whole = self.read_if_exists(path)?.unwrap_or_default();
        whole.extend_from_slice(content);
        self.write(path, &whole, 0o644)
    }

    /// Opens a directory, and makes it and those above it as far as they are missing.
    pub(in crate::deb) fn make_directories(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        match self.directory(path) {
            Err(Errno::NOENT) => {}
            opened => return opened,
        }
        let (parent, name) = super::claims::split(path);
        let parent = self.make_directories(parent)?;
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => self.directory(path),
            Err(error) => Err(error),
        }
    }

    /// Removes a file or an empty directory, if it is there.
    pub(in crate::deb) fn remove(&self, path: &[u8], is_directory: bool) -> Result<()> {
        let flags = if is_directory {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        let (parent, name) = super::claims::split(path);
        let removed = self
            .directory(parent)
            .and_then(|parent| rustix::fs::unlinkat(&parent, name, flags));
        match removed {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(io::Error::from(error))
                .with_context(|| format!("removing /{}", String::from_utf8_lossy(path))),
        }
    }

    /// Sets the time of an entry, be it a link.
    pub(in crate::deb) fn set_time(&self, path: &[u8], modified: i64) -> Result<()> {
        let (parent, name) = super::claims::split(path);
        let times = super::claims::timestamps(modified);
        self.directory(parent)
            .and_then(|parent| {
                rustix::fs::utimensat(&parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            })
            .map_err(io::Error::from)
            .with_context(|| format!("setting the time of /{}", String::from_utf8_lossy(path)))
    }
}
