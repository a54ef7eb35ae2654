//! One side of a comparison.

use std::path::Path;

use anyhow::{Context as _, Result};

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

impl Subject {
    /// Reads what is at `path`; what it is shows from its content.
    ///
    /// # Errors
    /// It can not be read, or is damaged.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_any(path).with_context(|| format!("reading {}", path.display()))
    }

    fn read_any(path: &Path) -> Result<Self> {
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
        let mut partitions = disk::read(path)?;
        Ok(Self {
            tree: disk::mounted(&mut partitions),
            partitions,
            has_attributes: false,
        })
    }
}
