//! Copies finished trees to where the user wants them.

use std::path::Path;

use anyhow::{Context as _, Result};
use osbuild_store::{Object, Ownership};

/// Keeps the caller's ownership instead of the tree's when set to 1 (upstream's variable).
const NO_PRESERVE_VARIABLE: &str = "OSBUILD_EXPORT_FORCE_NO_PRESERVE_OWNER";

/// Copies the content of a tree to a directory, which may hold other files already.
pub(crate) fn export(object: &Object, target: &Path) -> Result<()> {
    let ownership = if std::env::var_os(NO_PRESERVE_VARIABLE).is_some_and(|value| value == "1") {
        Ownership::Caller
    } else {
        Ownership::Preserve
    };
    osbuild_store::export(&object.tree(), target, ownership)
        .with_context(|| format!("exporting to {}", target.display()))
}
