//! What was in the files of an entry when it was kept, to find what a disk or memory has changed since.
//!
//! One line for each thing in `data` and `layers`, sorted by path: type and mode (octal), owner, size or device number,
//! time of modification, CRC-32 of content or target and then of extended attributes, path with unusual bytes escaped.
//! A CRC finds every flipped bit and every damage of up to 32 bits in a row; nobody who wants to forge a file is meant to
//! be kept out by it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::Crc;
use fs_err as fs;
use rustix::fs::{FileType, Mode, OFlags, SeekFrom, openat, readlinkat, seek};
use rustix::io::Errno;

use crate::accounting::replace_file;
use crate::copy::xattrs_of;
use crate::entry_lock;
use crate::walk::{Entry, walk};

/// The file of the lines.
pub(crate) const FILE: &str = "content-digests";
/// The folders of an entry whose content counts.
const FOLDERS: [&str; 2] = ["data", "layers"];
/// The piece of a file to read at a time.
const BUFFER: usize = 128 * 1024;
/// As `st_blocks` counts, whatever the file system's blocks are (`inode(7)`).
const STAT_BLOCK: i64 = 512;
/// The first of the powers of two that a hole is taken apart into, and the largest that fits what `Crc` counts with.
const HOLE_BITS: std::ops::RangeInclusive<u32> = 12..=30;

/// What became of an entry since it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It is as it was.
    Whole,
    /// Nothing was known of it; it is now.
    Recorded,
    /// It is not: what is wrong, and with which files.
    Damaged(Vec<String>),
}

/// Notes what is in an entry, unless that was done.
pub(crate) fn record(entry: &Path) -> Result<()> {
    let file = entry.join(FILE);
    if file.exists() {
        return Ok(());
    }
    let mut text = String::new();
    for (path, line) in read_tree(entry)? {
        text += &format!("{line} {path}\n");
    }
    replace_file(&file, text.as_bytes())
}

/// Tells whether an entry is what was noted; what was not noted is not.
pub(crate) fn is_whole(entry: &Path) -> Result<bool> {
    Ok(entry.join(FILE).exists() && verify(entry)? == Verified::Whole)
}

/// Compares an entry with what was noted.
pub(crate) fn verify(entry: &Path) -> Result<Verified> {
    let text = match fs::read_to_string(entry.join(FILE)) {
        Ok(text) => text,
        Err(error) if entry_lock::is_gone(&error) => {
            record(entry)?;
            return Ok(Verified::Recorded);
        }
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            return Ok(Verified::Damaged(vec![format!("{FILE} is no text")]));
        }
        Err(error) => return Err(error.into()),
    };
    let mut found = read_tree(entry)?;
    let mut damage = Vec::new();
    for line in text.lines() {
        // The path is the last of five words; it has no spaces.
        let Some((line, path)) = line.rsplit_once(' ') else {
            damage.push(format!("{FILE} has a line that is none"));
            continue;
        };
        match found.remove(path) {
            None => damage.push(format!("{path} is missing")),
            Some(now) if now != line => damage.push(format!("{path} is not what it was")),
            Some(_) => {}
        }
    }
    damage.extend(
        found
            .into_keys()
            .map(|path| format!("{path} was not there")),
    );
    Ok(if damage.is_empty() {
        Verified::Whole
    } else {
        Verified::Damaged(damage)
    })
}

/// Describes everything in an entry that counts: path to line.
fn read_tree(entry: &Path) -> Result<BTreeMap<String, String>> {
    let mut lines = BTreeMap::new();
    for folder in FOLDERS {
        let top = entry.join(folder);
        if !top.is_dir() {
            continue;
        }
        let found = walk::<Vec<(String, String)>>(&top, &|found, thing| {
            let path = Path::new(folder).join(thing.path());
            let path = path.as_os_str().as_encoded_bytes().escape_ascii();
            let path = path.to_string().replace(' ', "\\x20");
            let line = describe(thing).with_context(|| format!("reading {path}"))?;
            found.push((path, line));
            Ok(())
        })?;
        lines.extend(found.into_iter().flatten());
    }
    Ok(lines)
}

fn describe(thing: &Entry<'_>) -> Result<String> {
    let status = &thing.status;
    let mut crc = Crc::new();
    let number = match thing.file_type() {
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = openat(thing.directory, thing.name, flags, Mode::empty())?;
            if status.st_blocks * STAT_BLOCK < status.st_size {
                add_sparse_content(&mut crc, &file, status.st_size as u64)?;
            } else {
                add_content(&mut crc, &file, u64::MAX)?;
            }
            status.st_size as u64
        }
        FileType::Symlink => {
            crc.update(readlinkat(thing.directory, thing.name, Vec::new())?.to_bytes());
            0
        }
        FileType::CharacterDevice | FileType::BlockDevice => status.st_rdev,
        _ => 0,
    };
    let mut attributes = xattrs_of(thing.directory, thing.name)?;
    attributes.sort();
    let mut of_attributes = Crc::new();
    for (name, value) in attributes {
        of_attributes.update(name.to_bytes_with_nul());
        of_attributes.update(&(value.len() as u64).to_le_bytes());
        of_attributes.update(&value);
    }
    Ok(format!(
        "{:o} {}:{} {number} {}.{:09} {:08x} {:08x}",
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_mtime,
        status.st_mtime_nsec,
        crc.sum(),
        of_attributes.sum()
    ))
}

/// Adds at most `length` bytes from where the file is read.
fn add_content(crc: &mut Crc, file: &OwnedFd, mut length: u64) -> rustix::io::Result<()> {
    // Most files of an operating system fit at once.
    let mut buffer = vec![0; BUFFER];
    while length > 0 {
        let wanted = usize::try_from(length).map_or(BUFFER, |length| length.min(BUFFER));
        let read = rustix::io::read(file, &mut buffer[..wanted])?;
        if read == 0 {
            return Ok(());
        }
        crc.update(&buffer[..read]);
        length -= read as u64;
    }
    Ok(())
}

/// Adds what is between holes, and for holes what zeros would come to: images of disks are mostly holes, and reading
/// these takes seconds for some gigabytes.
fn add_sparse_content(crc: &mut Crc, file: &OwnedFd, size: u64) -> rustix::io::Result<()> {
    let mut position = 0;
    while position < size {
        let start = match seek(file, SeekFrom::Data(position)) {
            Ok(start) => start.min(size),
            // There is nothing but hole from here on.
            Err(Errno::NXIO) => size,
            Err(error) => return Err(error),
        };
        add_zeros(crc, start - position);
        if start == size {
            break;
        }
        let end = seek(file, SeekFrom::Hole(start))?.min(size);
        seek(file, SeekFrom::Start(start))?;
        add_content(crc, file, end - start)?;
        position = end;
    }
    Ok(())
}

/// Adds so many zeros, in a time that grows with the number's digits.
fn add_zeros(crc: &mut Crc, count: u64) {
    let mut zeros = Crc::new();
    zeros.update(&[0; 1 << *HOLE_BITS.start()]);
    for bit in HOLE_BITS {
        if bit == *HOLE_BITS.end() {
            for _ in 0..count >> bit {
                crc.combine(&zeros);
            }
        } else if count >> bit & 1 == 1 {
            crc.combine(&zeros);
        }
        let half = std::mem::take(&mut zeros);
        zeros.combine(&half);
        zeros.combine(&half);
    }
    let rest = usize::try_from(count % (1 << *HOLE_BITS.start())).unwrap_or_default();
    crc.update(&[0; 1 << *HOLE_BITS.start()][..rest]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_count_as_zeros() {
        for (before, count, after) in [
            (0, 0, 0),
            (1, 1, 1),
            (3, 4095, 2),
            (3, 4096, 2),
            (5, 12_345_678, 7),
            (5, (3 << 30) + 4097, 0),
        ] {
            let mut expected = Crc::new();
            expected.update(&vec![7; before]);
            let piece = vec![0; 1 << 20];
            for _ in 0..count >> 20 {
                expected.update(&piece);
            }
            expected.update(&piece[..count % (1 << 20)]);
            expected.update(&vec![8; after]);
            let mut crc = Crc::new();
            crc.update(&vec![7; before]);
            add_zeros(&mut crc, count as u64);
            crc.update(&vec![8; after]);
            assert_eq!(crc.sum(), expected.sum(), "{before} {count} {after}");
        }
    }

    #[test]
    fn a_sparse_file_counts_as_one_without_holes() {
        use std::os::unix::fs::FileExt as _;
        let folder = tempfile::tempdir().unwrap();
        let sparse = fs::File::create(folder.path().join("sparse")).unwrap();
        sparse.set_len(20 << 20).unwrap();
        let file = sparse.file();
        file.write_all_at(b"somewhere", (7 << 20) + 5).unwrap();
        file.write_all_at(b"near the end", (20 << 20) - 100)
            .unwrap();
        fs::write(
            folder.path().join("full"),
            fs::read(folder.path().join("sparse")).unwrap(),
        )
        .unwrap();
        let [sparse, full] = ["sparse", "full"].map(|name| {
            let file = fs::File::open(folder.path().join(name)).unwrap();
            let (mut crc, size) = (Crc::new(), file.metadata().unwrap().len());
            add_sparse_content(&mut crc, &file.into_parts().0.into(), size).unwrap();
            crc.sum()
        });
        assert_eq!(sparse, full);
        let mut expected = Crc::new();
        expected.update(&fs::read(folder.path().join("full")).unwrap());
        assert_eq!(full, expected.sum());
    }
}
