//! A file tree as plain data.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use anyhow::Result;
use sha2::{Digest as _, Sha256};

use crate::image_info;

/// The largest file whose content is kept; package databases of big systems have some tens of megabytes.
const KEPT_MAXIMUM: u64 = 256 * 1024 * 1024;

/// The type bits of `st_mode` (inode(7)).
pub(crate) const S_IFMT: u32 = 0o170_000;
pub(crate) const S_IFREG: u32 = 0o100_000;
pub(crate) const S_IFDIR: u32 = 0o040_000;
pub(crate) const S_IFLNK: u32 = 0o120_000;
pub(crate) const S_IFCHR: u32 = 0o020_000;
pub(crate) const S_IFBLK: u32 = 0o060_000;
pub(crate) const S_IFIFO: u32 = 0o010_000;
pub(crate) const S_IFSOCK: u32 = 0o140_000;

/// Every entry of a tree by its path below the root; the root itself is the empty path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// What is where.
    pub entries: BTreeMap<PathBuf, Entry>,
    /// The content of files that tell about the system: see [`is_telling`].
    pub contents: BTreeMap<PathBuf, Vec<u8>>,
}

/// One file, directory, link or node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Type and permissions, as in `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of a regular file.
    pub size: u64,
    /// Where a symbolic link points.
    pub target: Option<PathBuf>,
    /// Numbers of a device node, major and minor.
    pub device: Option<(u32, u32)>,
    /// SHA-256 of a regular file's content; none if it could not be read.
    pub digest: Option<[u8; 32]>,
    /// Extended attributes, as far as the reader of the tree may see them.
    pub attributes: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Entry {
    /// Gives the type bits of the mode.
    pub fn kind(&self) -> u32 {
        self.mode & S_IFMT
    }

    /// Tells whether this is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind() == S_IFREG
    }

    /// Tells whether this is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind() == S_IFDIR
    }

    /// Tells whether this is a symbolic link.
    pub fn is_link(&self) -> bool {
        self.kind() == S_IFLNK
    }
}

impl Tree {
    /// Gives the text of a file whose content was kept.
    pub fn text(&self, path: &str) -> Option<String> {
        let content = self.contents.get(Path::new(path))?;
        Some(String::from_utf8_lossy(content).into_owned())
    }

    /// Gives what is below a directory, in order; not the directory itself.
    pub(crate) fn below<'a>(
        &'a self,
        place: &'a Path,
    ) -> impl Iterator<Item = (&'a Path, &'a Entry)> {
        // Paths are ordered by their components, so what is below one follows it.
        let after = (Bound::Excluded(place), Bound::Unbounded);
        self.entries
            .range::<Path, _>(after)
            .map(|(path, entry)| (path.as_path(), entry))
            .take_while(move |(path, _)| path.starts_with(place))
    }

    /// Adds everything of another tree below `place`, in whose stead its root comes.
    pub(crate) fn graft(&mut self, place: &Path, other: Tree) {
        for (path, entry) in other.entries {
            self.entries.insert(join(place, &path), entry);
        }
        for (path, content) in other.contents {
            self.contents.insert(join(place, &path), content);
        }
    }
}

/// Joins without a trailing slash for an empty path.
fn join(place: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() {
        place.to_owned()
    } else {
        place.join(path)
    }
}

/// Tells whether the content of a file says what the system is made of: its release, packages, users, boot entries,
/// and what a report of an image has of its configuration.
pub(crate) fn is_telling(path: &Path) -> bool {
    const FILES: [&str; 10] = [
        "etc/os-release",
        "usr/lib/os-release",
        "etc/hostname",
        "etc/fstab",
        "etc/passwd",
        "etc/group",
        "var/lib/dpkg/status",
        "usr/lib/sysimage/rpm/rpmdb.sqlite",
        "usr/share/rpm/rpmdb.sqlite",
        "var/lib/rpm/rpmdb.sqlite",
    ];
    let is_known = path.to_str().is_some_and(|path| FILES.contains(&path));
    is_known
        || is_boot_entry(path)
        || image_info::system::is_read(path)
        || path.file_name().is_some_and(|name| name == "grub.cfg")
}

/// Tells whether a file is an entry of the Boot Loader Specification.
pub(crate) fn is_boot_entry(path: &Path) -> bool {
    let has_place = path
        .parent()
        .is_some_and(|parent| parent.ends_with("loader/entries"));
    has_place
        && path
            .extension()
            .is_some_and(|extension| extension == "conf")
}

/// Digests a file while reading it, and keeps its content if it is one that tells.
pub(crate) fn read_content(
    path: &Path,
    size: u64,
    mut reader: impl Read,
) -> Result<([u8; 32], Option<Vec<u8>>)> {
    let mut hasher = Sha256::new();
    let mut kept = (is_telling(path) && size <= KEPT_MAXIMUM).then(Vec::new);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok((hasher.finalize().into(), kept));
        }
        hasher.update(&buffer[..count]);
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(&buffer[..count]);
        }
    }
}

/// Writes a digest the way upstream does.
pub(crate) fn digest_text(digest: &[u8; 32]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in digest {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}
