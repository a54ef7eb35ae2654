//! One side of a comparison.

use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::disk::{self, Partition};
use crate::tree::Tree;
use crate::{archive, directory};

/// A directory, archive or disk image, read whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Its files; of a disk image, all file systems as the system in it mounts them.
    pub tree: Tree,
    /// Partitions of a disk image, without their trees.
    pub partitions: Vec<Partition>,
    /// Whether attributes and device numbers are known. They are not for file systems read out of an image.
    pub has_attributes: bool,
}

/// Whether to read what stands in partitions without a tree, to tell it from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Digests {
    /// For a comparison.
    Wanted,
    /// It can be much.
    Unwanted,
}

impl Subject {
    /// Reads what is at `path`; what it is shows from its content.
    ///
    /// # Errors
    /// It can not be read, or is damaged.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_with(path, Digests::Wanted)
    }

    /// Reads what is at `path`, as far as it is wanted.
    pub(crate) fn read_with(path: &Path, digests: Digests) -> Result<Self> {
        Self::read_any(path, digests).with_context(|| format!("reading {}", path.display()))
    }

    fn read_any(path: &Path, digests: Digests) -> Result<Self> {
        check_kind(path)?;
        if fs_err::metadata(path)?.is_dir() {
            return Ok(Self {
                tree: directory::read(path)?,
                partitions: Vec::new(),
                has_attributes: true,
            });
        }
        let mut file = fs_err::File::open(path)?;
        if archive::is_archive(&mut file)? {
            return Ok(Self {
                tree: archive::read(file)?,
                partitions: Vec::new(),
                has_attributes: true,
            });
        }
        let mut partitions = disk::read(path, digests)?;
        Ok(Self {
            tree: disk::mounted(&mut partitions),
            partitions,
            has_attributes: false,
        })
    }
}

/// Makes sure that there is something to read at a path: from a pipe nothing may ever come.
pub(crate) fn check_kind(path: &Path) -> Result<()> {
    let kind = fs_err::metadata(path)?.file_type();
    if !kind.is_dir() && !kind.is_file() && !kind.is_block_device() {
        bail!("neither a directory, nor a file, nor a disk");
    }
    Ok(())
}
