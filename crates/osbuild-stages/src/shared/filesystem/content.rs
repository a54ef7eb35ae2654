//! What goes into a file system: a directory of the tree, without what others hold below it.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use osbuild_stage_api::TreeRoot;
use rustix::fs::SeekFrom;

/// What goes into one file system.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// The directory, without links in its path.
    pub(crate) root: PathBuf,
    /// Directories below it that other file systems are mounted on.
    pub(crate) hidden: Vec<PathBuf>,
}

/// What a content amounts to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    /// Inodes: a file of many names counts once.
    pub(crate) inodes: u64,
    /// Blocks for data, directories, and whatever does not fit in inodes.
    pub(crate) blocks: u64,
}

impl Content {
    /// Finds the content of the file system mounted at `mountpoint`, given the mount points of all.
    pub(crate) fn find(tree: &TreeRoot, mountpoint: &str, all: &[&str]) -> Result<Self> {
        let real = |path: &str| {
            tree.real_path(path)
                .with_context(|| format!("finding the directory of the tree to mount `{path}` on"))
        };
        let root = real(mountpoint)?;
        let mut hidden = Vec::new();
        for other in all.iter().filter(|other| **other != mountpoint) {
            let other = real(other)?;
            if other != root && other.starts_with(&root) {
                hidden.push(other);
            }
        }
        Ok(Self { root, hidden })
    }

    /// Returns the entries of a directory, sorted by name; none for a hidden one.
    pub(crate) fn entries(&self, directory: &Path) -> Result<Vec<(OsString, Metadata, PathBuf)>> {
        if self.hidden.iter().any(|hidden| hidden == directory) {
            return Ok(Vec::new());
        }
        let mut entries = Vec::new();
        for entry in fs_err::read_dir(directory)? {
            let entry = entry?;
            entries.push((entry.file_name(), entry.metadata()?, entry.path()));
        }
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(entries)
    }

    /// Adds up what the content takes in blocks of this size, in the manner of ext4.
    pub(crate) fn amount(&self, block_size: u64) -> Result<Amount> {
        let mut amount = Amount {
            inodes: 1,
            blocks: 0,
        };
        let mut seen = HashSet::new();
        let mut pending = vec![self.root.clone()];
        while let Some(directory) = pending.pop() {
            // `.` and `..`, and the checksum at the end of a block.
            let mut length = 2 * DIRECTORY_ENTRY_MIN;
            for (name, metadata, path) in self.entries(&directory)? {
                length += DIRECTORY_ENTRY_HEAD + (name.len() as u64).next_multiple_of(4);
                let is_known = metadata.nlink() > 1
                    && !metadata.is_dir()
                    && !seen.insert((metadata.dev(), metadata.ino()));
                if is_known {
                    continue;
                }
                amount.inodes += 1;
                amount.blocks += inode_blocks(&path, &metadata, block_size)?;
                if metadata.is_dir() {
                    pending.push(path);
                }
            }
            // An entry does not cross blocks: what the longest name wastes is taken off each.
            amount.blocks += length.div_ceil(block_size - DIRECTORY_ENTRY_MAX);
        }
        Ok(amount)
    }
}

const DIRECTORY_ENTRY_HEAD: u64 = 8;
const DIRECTORY_ENTRY_MIN: u64 = 12;
/// The longest entry and the checksum.
const DIRECTORY_ENTRY_MAX: u64 = 264 + 12;
/// Shorter targets are kept in the inode.
const SYMLINK_IN_INODE: u64 = 60;
/// What an inode of 256 bytes has left for extended attributes.
const ATTRIBUTES_IN_INODE: u64 = 80;
const ATTRIBUTE_HEAD: u64 = 16;
/// Extents that an inode holds itself, and that a block does, rounded down.
const EXTENTS_IN_INODE: u64 = 4;
const EXTENTS_IN_BLOCK: u64 = 80;
/// No extent is longer, counted in blocks.
const EXTENT_MAX: u64 = 32768;

fn inode_blocks(path: &Path, metadata: &Metadata, block_size: u64) -> Result<u64> {
    let kind = metadata.file_type();
    let data = if kind.is_file() {
        file_blocks(path, metadata, block_size)?
    } else {
        u64::from(kind.is_symlink() && metadata.len() >= SYMLINK_IN_INODE)
    };
    Ok(data + u64::from(attributes_length(path)? > ATTRIBUTES_IN_INODE))
}

fn file_blocks(path: &Path, metadata: &Metadata, block_size: u64) -> Result<u64> {
    /// What `st_blocks` counts in.
    const SECTOR: u64 = 512;
    let mut extents = 0;
    let mut blocks = metadata.len().div_ceil(block_size);
    if metadata.blocks() * SECTOR < metadata.len() {
        (extents, blocks) = data_extents(path, metadata.len(), block_size)?;
    }
    extents += blocks / EXTENT_MAX + 1;
    let tree = if extents > EXTENTS_IN_INODE {
        1 + extents / EXTENTS_IN_BLOCK
    } else {
        0
    };
    Ok(blocks + tree)
}

/// Counts the stretches of a file that are no holes, and their blocks.
fn data_extents(path: &Path, length: u64, block_size: u64) -> Result<(u64, u64)> {
    let file = fs_err::File::open(path)?;
    let (mut extents, mut blocks, mut position) = (0, 0, 0);
    while position < length {
        let start = match rustix::fs::seek(&file, SeekFrom::Data(position)) {
            Ok(start) => start,
            // No data behind this position.
            Err(rustix::io::Errno::NXIO) => break,
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        let end = rustix::fs::seek(&file, SeekFrom::Hole(start))
            .with_context(|| format!("reading {}", path.display()))?;
        extents += 1;
        blocks += end.div_ceil(block_size) - start / block_size;
        position = end;
    }
    Ok((extents, blocks))
}

/// Adds up names and values of the extended attributes.
fn attributes_length(path: &Path) -> Result<u64> {
    let mut names = [0; 4096];
    let length = match rustix::fs::llistxattr(path, &mut names[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::OPNOTSUPP) => return Ok(0),
        // More than the buffer holds is more than an inode holds.
        Err(rustix::io::Errno::RANGE) => return Ok(u64::MAX),
        Err(error) => {
            return Err(error).with_context(|| format!("reading attributes of {}", path.display()));
        }
    };
    let mut total = 0;
    for name in names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut nothing = [0u8; 0];
        let value = rustix::fs::lgetxattr(path, name, &mut nothing[..])
            .with_context(|| format!("reading attributes of {}", path.display()))?;
        total += ATTRIBUTE_HEAD
            + (name.len() as u64).next_multiple_of(4)
            + (value as u64).next_multiple_of(4);
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_mount_points_are_left_to_their_own_file_systems() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs_err::create_dir_all(path.join("boot/efi/EFI")).unwrap();
        fs_err::write(path.join("boot/kernel"), "k").unwrap();
        std::os::unix::fs::symlink("/boot/efi", path.join("efi")).unwrap();
        let tree = TreeRoot::open(path).unwrap();
        let root = Content::find(&tree, "/", &["/", "/efi", "/boot"]).unwrap();
        assert_eq!(root.hidden, [path.join("boot/efi"), path.join("boot")]);
        assert_eq!(
            root.amount(4096).unwrap(),
            Amount {
                inodes: 3,
                blocks: 2
            }
        );
        let boot = Content::find(&tree, "/boot", &["/", "/efi", "/boot"]).unwrap();
        assert_eq!(
            (&boot.root, &boot.hidden),
            (&path.join("boot"), &vec![path.join("boot/efi")])
        );
        assert_eq!(
            boot.amount(4096).unwrap(),
            Amount {
                inodes: 3,
                blocks: 3
            }
        );
        let error = Content::find(&tree, "/home", &["/home"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "finding the directory of the tree to mount `/home` on"
        );
    }

    #[test]
    fn holes_and_second_names_take_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let sparse = fs_err::File::create(path.join("sparse")).unwrap();
        sparse.set_len(1 << 30).unwrap();
        std::os::unix::fs::FileExt::write_all_at(sparse.file(), b"x", 1 << 29).unwrap();
        fs_err::hard_link(path.join("sparse"), path.join("again")).unwrap();
        let content = Content {
            root: path.to_owned(),
            hidden: Vec::new(),
        };
        assert_eq!(
            content.amount(4096).unwrap(),
            Amount {
                inodes: 2,
                blocks: 2
            }
        );
    }
}
