//! Ways to give a new tree the content of an old one.

use std::path::Path;

use anyhow::Result;

use crate::copy::{CopyOptions, copy_tree};
use crate::export::Ownership;

/// A way to make a writable tree that starts as another one, which stays as it is.
///
/// The plain copy works everywhere. Overlays and reflinked subvolumes fit behind this as well: a snapshot
/// lives in the place it was made in until that place is removed, so all they need is what is on disk.
pub trait Snapshotter: std::fmt::Debug + Send + Sync {
    /// Gives the name for logs.
    fn name(&self) -> &'static str;

    /// Makes `target`, which does not exist yet, start as `source`.
    fn snapshot(&self, source: &Path, target: &Path) -> Result<()>;
}

/// Copies every file, sharing its blocks where the file system can.
#[derive(Clone, Copy, Debug)]
pub struct PlainCopy;

impl Snapshotter for PlainCopy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn snapshot(&self, source: &Path, target: &Path) -> Result<()> {
        copy_tree(
            source,
            target,
            CopyOptions {
                ownership: Ownership::Preserve,
            },
        )
    }
}
