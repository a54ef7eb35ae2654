//! Hands a finished tree out of the store.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::copy::{CopyOptions, copy_tree};

/// Who owns exported files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Whoever owns them in the tree.
    Preserve,
    /// Whoever runs this program.
    Caller,
}

/// Copies what is in `tree` into `directory`, which is made if missing; files of the same name are replaced.
///
/// The directory itself gets mode, owner and times of the tree's top, as `cp -a TREE/. DIRECTORY` has it.
pub fn export(tree: &Path, directory: &Path, ownership: Ownership) -> Result<()> {
    if let Some(parent) = directory.parent() {
        fs_err::create_dir_all(parent)?;
    }
    copy_tree(tree, directory, CopyOptions { ownership })
        .with_context(|| format!("exporting to {}", directory.display()))
}
