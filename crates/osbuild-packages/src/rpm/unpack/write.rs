//! Writes files below the root of a tree, through real directories only.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid,
};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::{Contents, Directory, OwnedFile, Unpacking};
use crate::rpm::digests::{CheckedPayload, hexadecimal};
use crate::rpm::payload::{Entries, Entry, decompress};

/// Whoever is not in a package yet may look at nothing that is half written.
const UNFINISHED_MODE: u32 = 0o600;
/// A rename elsewhere at the same moment makes openat2 give up.
const OPEN_ATTEMPTS: u32 = 128;

/// The tree that is written to.
#[derive(Debug)]
pub(super) struct Writer {
    root: OwnedFd,
}

/// Finds something in the tree where the packages bring something else; directories may be there.
pub(super) fn path_in_the_way(tree: &Path, unpacking: &Unpacking<'_>) -> Result<Option<Vec<u8>>> {
    let writer = Writer::open(tree)?;
    let mut is_missing = HashMap::new();
    for path in unpacking.directories.keys() {
        // Sorted: what a directory is in has been looked at before.
        if is_missing.get(parent(path)).copied().unwrap_or(false) {
            is_missing.insert(path.as_slice(), true);
            continue;
        }
        match writer.open_at(path, OFlags::PATH | OFlags::DIRECTORY, 0) {
            Ok(_) => is_missing.insert(path, false),
            Err(Errno::NOENT) => is_missing.insert(path, true),
            Err(Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return Ok(Some(path.clone())),
            Err(error) => return Err(failed(error, "looking at", path)),
        };
    }
    let files = unpacking.packages.iter().flat_map(|one| &one.files);
    for OwnedFile { file, .. } in files {
        let is_directory = FileType::from_raw_mode(file.mode).is_dir();
        if is_directory || is_missing.get(parent(&file.path)).copied().unwrap_or(false) {
            continue;
        }
        match writer.open_at(&file.path, OFlags::PATH | OFlags::NOFOLLOW, 0) {
            Err(Errno::NOENT) => {}
            Ok(_) | Err(_) => return Ok(Some(file.path.clone())),
        }
    }
    Ok(None)
}

fn parent(path: &[u8]) -> &[u8] {
    let at = path.iter().rposition(|byte| *byte == b'/');
    &path[..at.unwrap_or(0)]
}

fn failed(error: impl Into<io::Error>, doing: &str, path: &[u8]) -> anyhow::Error {
    let path = String::from_utf8_lossy(path);
    anyhow::Error::new(error.into()).context(format!("{doing} {path}"))
}

impl Writer {
    pub(super) fn open(tree: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, tree, flags, Mode::empty())
            .map_err(io::Error::from)
            .with_context(|| format!("opening the tree {}", tree.display()))?;
        Ok(Self { root })
    }

    /// Makes the directories, which are sorted: what a directory is in comes before it. Those that are there already
    /// get the looks that a package gives them, as rpm does it.
    pub(super) fn make_directories(
        &self,
        directories: &BTreeMap<Vec<u8>, Directory>,
    ) -> Result<()> {
        for (path, directory) in directories {
            let parent = self.directory(parent(path))?;
            let name = name(path);
            let made = match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(directory.mode))
            {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(error) => return Err(failed(error, "making the directory", path)),
            };
            if made || directory.is_owned {
                self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY, 0)
                    .and_then(|opened| set_looks(&opened, directory))
                    .map_err(|error| failed(error, "making the directory", path))?;
            }
        }
        Ok(())
    }

    /// Sets the times of directories that nothing was put into: all others have the time of the last entry.
    pub(super) fn finish_directories(
        &self,
        directories: &BTreeMap<Vec<u8>, Directory>,
    ) -> Result<()> {
        for (path, directory) in directories {
            let Some(mtime) = directory.mtime.filter(|_| !directory.has_entries) else {
                continue;
            };
            self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY, 0)
                .and_then(|opened| rustix::fs::futimens(&opened, &times(mtime)))
                .map_err(|error| failed(error, "setting the time of", path))?;
        }
        Ok(())
    }

    /// Unpacks one package, and checks everything that it says of its payload and of its files.
    pub(super) fn unpack(&self, contents: &Contents<'_>) -> Result<()> {
        let package = contents.package;
        let mut payload = CheckedPayload::open(package)?;
        let (_, compressor) = package.payload_kind()?;
        let mut files = PackageFiles::new(contents);
        let unpacked = decompress(compressor, &mut payload)
            .and_then(|reader| self.unpack_entries(Entries::new(reader), &mut files));
        // The digest of the whole says more than the first oddity that damage leads to.
        payload.finish()?;
        unpacked
            .and_then(|()| files.check_all_were_there())
            .with_context(|| format!("unpacking the package {}", package.path().display()))
    }

    fn unpack_entries(
        &self,
        mut entries: Entries<impl io::Read>,
        files: &mut PackageFiles<'_>,
    ) -> Result<()> {
        while let Some(entry) = entries.next_entry()? {
            let (file, size) = files.take(&entry)?;
            match FileType::from_raw_mode(file.file.mode) {
                FileType::Directory => {}
                FileType::Symlink => {
                    let target = &file.file.link_target;
                    let mut written = Vec::new();
                    let take = |piece: &[u8]| {
                        written.extend_from_slice(piece);
                        ensure!(written.len() <= target.len(), "a link is too long");
                        Ok(())
                    };
                    entries.content(size, take)?;
                    ensure!(
                        written.is_empty() || written == *target,
                        "a link is not what the header says"
                    );
                    self.link(file)?;
                }
                _ => self.regular(file, size, &mut entries, files)?,
            }
        }
        entries.finish()?;
        Ok(())
    }

    /// Writes a file; of one with several names, under all those whose turn was before.
    fn regular(
        &self,
        file: &OwnedFile,
        size: u64,
        entries: &mut Entries<impl io::Read>,
        files: &mut PackageFiles<'_>,
    ) -> Result<()> {
        let names = files.names_so_far(file);
        if let Some(names) = &names
            && names.len() < files.name_count(file)
        {
            // Only the last of its names comes with the content.
            ensure!(size == 0, "a file with several names has its content twice");
            return Ok(());
        }
        let path = &file.file.path;
        ensure!(
            size == file.file.size,
            "the archive has {size} bytes of {}, the header {}",
            String::from_utf8_lossy(path),
            file.file.size
        );
        self.write(file, entries)?;
        for other in names.iter().flatten().filter(|other| *other != path) {
            let directory = self.directory(parent(other))?;
            let old = self.directory(parent(path))?;
            rustix::fs::linkat(&old, name(path), &directory, name(other), AtFlags::empty())
                .map_err(|error| failed(error, "linking", other))?;
        }
        Ok(())
    }

    fn write(&self, file: &OwnedFile, entries: &mut Entries<impl io::Read>) -> Result<()> {
        let path = &file.file.path;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let mut out: std::fs::File = self
            .open_at(path, flags, UNFINISHED_MODE)
            .map_err(|error| failed(error, "making the file", path))?
            .into();
        let mut hasher = Sha256::new();
        entries.content(file.file.size, |piece| {
            hasher.update(piece);
            out.write_all(piece)
                .map_err(|error| failed(error, "writing", path))
        })?;
        ensure!(
            hexadecimal(&hasher.finalize()).as_bytes() == file.file.digest.to_ascii_lowercase(),
            "the digest of {} is wrong",
            String::from_utf8_lossy(path)
        );
        set_owner(&out, file)
            // After the owner: changing that takes the bits for other users' rights away.
            .and_then(|()| rustix::fs::fchmod(&out, permissions(file)))
            .and_then(|()| rustix::fs::futimens(&out, &times(file.file.mtime)))
            .map_err(|error| failed(error, "setting the looks of", path))
    }

    fn link(&self, file: &OwnedFile) -> Result<()> {
        let path = &file.file.path;
        let directory = self.directory(parent(path))?;
        let name = name(path);
        let no_follow = AtFlags::SYMLINK_NOFOLLOW;
        let (uid, gid) = (Uid::from_raw(file.uid), Gid::from_raw(file.gid));
        rustix::fs::symlinkat(file.file.link_target.as_slice(), &directory, name)
            .and_then(|()| rustix::fs::chownat(&directory, name, Some(uid), Some(gid), no_follow))
            .and_then(|()| {
                rustix::fs::utimensat(&directory, name, &times(file.file.mtime), no_follow)
            })
            .map_err(|error| failed(error, "making the link", path))
    }

    fn directory(&self, path: &[u8]) -> Result<OwnedFd> {
        self.open_at(path, OFlags::PATH | OFlags::DIRECTORY, 0)
            .map_err(|error| failed(error, "opening", path))
    }

    /// Opens something below the root; no part of the way may be a link.
    fn open_at(&self, path: &[u8], flags: OFlags, mode: u32) -> rustix::io::Result<OwnedFd> {
        let relative = path.strip_prefix(b"/").unwrap_or(path);
        let relative = if relative.is_empty() { b"." } else { relative };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let mut attempts = 0;
        loop {
            let flags = flags | OFlags::CLOEXEC;
            let mode = Mode::from_raw_mode(mode);
            match rustix::fs::openat2(&self.root, relative, flags, mode, resolve) {
                Err(Errno::AGAIN) if attempts < OPEN_ATTEMPTS => attempts += 1,
                opened => return opened,
            }
        }
    }
}

fn name(path: &[u8]) -> &[u8] {
    &path[parent(path).len() + 1..]
}

fn permissions(file: &OwnedFile) -> Mode {
    Mode::from_raw_mode(file.file.mode & 0o7777)
}

fn times(mtime: u64) -> Timestamps {
    let time = Timespec {
        tv_sec: mtime as i64,
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

fn set_owner(out: impl AsFd, file: &OwnedFile) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(file.uid), Gid::from_raw(file.gid));
    rustix::fs::fchown(out, Some(uid), Some(gid))
}

fn set_looks(opened: &OwnedFd, directory: &Directory) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(directory.uid), Gid::from_raw(directory.gid));
    rustix::fs::fchown(opened, Some(uid), Some(gid))?;
    rustix::fs::fchmod(opened, Mode::from_raw_mode(directory.mode))
}

/// The files of one package while its archive is read.
struct PackageFiles<'a> {
    files: &'a [OwnedFile],
    by_path: HashMap<&'a [u8], usize>,
    /// Of each file with several names: how many, and those that the archive had so far.
    several: HashMap<u64, (usize, Vec<Vec<u8>>)>,
    seen: Vec<bool>,
}

impl<'a> PackageFiles<'a> {
    fn new(contents: &'a Contents<'_>) -> Self {
        let files = contents.files.as_slice();
        let by_path = files.iter().enumerate();
        let by_path = by_path.map(|(at, file)| (file.file.path.as_slice(), at));
        let mut several: HashMap<u64, (usize, Vec<Vec<u8>>)> = HashMap::new();
        for file in files.iter().filter(|file| is_regular(file)) {
            several.entry(file.file.inode).or_default().0 += 1;
        }
        several.retain(|_, (count, _)| *count > 1);
        Self {
            files,
            by_path: by_path.collect(),
            several,
            seen: vec![false; files.len()],
        }
    }

    /// The file that an entry is about, and how many bytes the archive has of it.
    fn take(&mut self, entry: &Entry) -> Result<(&'a OwnedFile, u64)> {
        let (at, size) = match entry {
            Entry::Named(path, size) => (self.by_path.get(path.as_slice()).copied(), Some(*size)),
            Entry::Numbered(number) => (Some(*number), None),
        };
        let files = self.files;
        let found = at.and_then(|at| Some((at, files.get(at)?)));
        let (at, file) = found
            .filter(|(_, file)| !file.file.is_ghost)
            .with_context(|| {
                format!("the archive has something else than the header: {entry:?}")
            })?;
        ensure!(
            !std::mem::replace(&mut self.seen[at], true),
            "the archive has a file twice"
        );
        if let Some((_, names)) = self.several_of(file) {
            names.push(file.file.path.clone());
        }
        let is_last = self
            .several
            .get(&file.file.inode)
            .is_none_or(|(count, names)| names.len() == *count);
        let own = match FileType::from_raw_mode(file.file.mode) {
            FileType::RegularFile if is_last => file.file.size,
            FileType::Symlink => file.file.link_target.len() as u64,
            _ => 0,
        };
        Ok((file, size.unwrap_or(own)))
    }

    fn several_of(&mut self, file: &OwnedFile) -> Option<&mut (usize, Vec<Vec<u8>>)> {
        self.several
            .get_mut(&file.file.inode)
            .filter(|_| is_regular(file))
    }

    /// The names that the archive had so far of a file with several, this one included.
    fn names_so_far(&self, file: &OwnedFile) -> Option<Vec<Vec<u8>>> {
        self.several
            .get(&file.file.inode)
            .map(|(_, names)| names.clone())
    }

    fn name_count(&self, file: &OwnedFile) -> usize {
        self.several
            .get(&file.file.inode)
            .map_or(1, |(count, _)| *count)
    }

    fn check_all_were_there(&self) -> Result<()> {
        let mut all = self.files.iter().zip(&self.seen);
        let missing = all.find(|(file, is_seen)| !**is_seen && !file.file.is_ghost);
        missing.map_or(Ok(()), |(file, _)| {
            let path = String::from_utf8_lossy(&file.file.path);
            bail!("the archive lacks {path}")
        })
    }
}

fn is_regular(file: &OwnedFile) -> bool {
    !file.file.is_ghost && FileType::from_raw_mode(file.file.mode).is_file()
}
