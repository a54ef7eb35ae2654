//! What a directory tree holds, as far as the store has to know.

use std::collections::HashMap;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use anyhow::Result;
use rustix::fs::{FileType, llistxattr};

use crate::walk::{Entry, walk};

/// The unit of `st_blocks`, whatever the file system's own block size.
pub(crate) const STAT_BLOCK: u64 = 512;
/// What overlays write on files of their layers begins so.
pub(crate) const OVERLAY_ATTRIBUTES: &[u8] = b"trusted.overlay.";
/// Room for the names of the attributes of a directory; those of one with more are taken for overlay's.
const XATTR_ROOM: usize = 4096;

/// What a tree holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Bytes that it takes on disk, a file with several names counted once.
    pub(crate) size: u64,
    /// Files, directories and everything else.
    pub(crate) entries: u64,
    /// Whether something in it means something else to an overlay: a whiteout, or a directory that hides or moves
    /// others. Container storage holds such. It can not be a layer, then.
    pub(crate) is_special: bool,
}

/// What one thread has seen.
#[derive(Default)]
struct Seen {
    survey: Survey,
    /// Bytes of files with several names.
    linked: HashMap<(u64, u64), u64>,
}

/// Looks through everything at and below `top`, which must not be a layer of an overlay.
pub(crate) fn survey(top: &Path) -> Result<Survey> {
    measure(top, &|entry| is_special(entry))
}

/// Gives the bytes that everything at and below `top` takes on disk.
pub(crate) fn disk_usage(top: &Path) -> Result<u64> {
    measure(top, &|_| false).map(|survey| survey.size)
}

fn measure(top: &Path, is_special: &(dyn Fn(&Entry<'_>) -> bool + Sync)) -> Result<Survey> {
    let seen = walk::<Seen>(top, &|seen, entry| {
        let bytes = entry.status.st_blocks as u64 * STAT_BLOCK;
        if entry.status.st_nlink > 1 && entry.file_type() != FileType::Directory {
            let file = (entry.status.st_dev, entry.status.st_ino);
            seen.linked.insert(file, bytes);
        } else {
            seen.survey.size += bytes;
        }
        seen.survey.entries += 1;
        seen.survey.is_special |= is_special(entry);
        Ok(())
    })?;
    let mut total = Survey {
        size: rustix::fs::lstat(top)?.st_blocks as u64 * STAT_BLOCK,
        entries: 1,
        is_special: false,
    };
    let mut linked = HashMap::new();
    for one in seen {
        total.size += one.survey.size;
        total.entries += one.survey.entries;
        total.is_special |= one.survey.is_special;
        linked.extend(one.linked);
    }
    total.size += linked.values().sum::<u64>();
    Ok(total)
}

fn is_special(entry: &Entry<'_>) -> bool {
    match entry.file_type() {
        // A whiteout (kernel: Documentation/filesystems/overlayfs.rst).
        FileType::CharacterDevice => entry.status.st_rdev == 0,
        FileType::Directory => has_overlay_attributes(entry),
        _ => false,
    }
}

fn has_overlay_attributes(entry: &Entry<'_>) -> bool {
    let mut path = format!("/proc/self/fd/{}/", entry.directory.as_raw_fd()).into_bytes();
    path.extend(entry.name.to_bytes());
    let mut names = [0; XATTR_ROOM];
    match llistxattr(path, &mut names[..]) {
        Ok(length) => names[..length]
            .split(|byte| *byte == 0)
            .any(|name| name.starts_with(OVERLAY_ATTRIBUTES)),
        Err(error) => error != rustix::io::Errno::OPNOTSUPP,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_two_names_is_counted_once() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path();
        let empty = survey(top).unwrap();
        fs_err::write(top.join("a"), vec![1; 100_000]).unwrap();
        let one = survey(top).unwrap();
        assert!(one.size >= empty.size + 100_000, "{one:?}");
        fs_err::hard_link(top.join("a"), top.join("b")).unwrap();
        let two = survey(top).unwrap();
        assert_eq!((two.size, two.entries), (one.size, one.entries + 1));
        assert_eq!(disk_usage(top).unwrap(), two.size);
        assert!(!two.is_special);
    }
}
