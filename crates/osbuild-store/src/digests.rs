//! What was in the files of an entry when it was kept, to find what a disk or memory has changed since.
//!
//! One line for each thing in `data/tree` and `layers`, sorted by path: type and mode (octal), owner, size or device
//! number, CRC-32 of content or target, path with unusual bytes escaped. A CRC finds every flipped bit and every damage
//! of up to 32 bits in a row; nobody who wants to forge a file is meant to be kept out by it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::Crc;
use fs_err as fs;
use rustix::fs::{FileType, Mode, OFlags, openat, readlinkat};

use crate::accounting::replace_file;
use crate::entry_lock;
use crate::walk::{Entry, walk};

/// The file of the lines.
pub(crate) const FILE: &str = "digests";
/// The folders of an entry whose content counts.
const FOLDERS: [&str; 2] = ["data/tree", "layers"];
/// The piece of a file to read at a time.
const BUFFER: usize = 128 * 1024;

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
            add_content(&mut crc, &file)?;
            status.st_size as u64
        }
        FileType::Symlink => {
            crc.update(readlinkat(thing.directory, thing.name, Vec::new())?.to_bytes());
            0
        }
        FileType::CharacterDevice | FileType::BlockDevice => status.st_rdev,
        _ => 0,
    };
    Ok(format!(
        "{:o} {}:{} {number} {:08x}",
        status.st_mode,
        status.st_uid,
        status.st_gid,
        crc.sum()
    ))
}

fn add_content(crc: &mut Crc, file: &OwnedFd) -> Result<()> {
    // Most files of an operating system fit at once.
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = rustix::io::read(file, &mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        crc.update(&buffer[..read]);
    }
}
