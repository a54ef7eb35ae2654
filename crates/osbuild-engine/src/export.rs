//! Copies finished trees to where the user wants them.

use anyhow::{Context as _, Result};
use osbuild_store::{Object, Ownership};

use crate::execute::ExportRequest;

/// Keeps the caller's ownership instead of the tree's when set to 1 (upstream's variable).
const NO_PRESERVE_VARIABLE: &str = "OSBUILD_EXPORT_FORCE_NO_PRESERVE_OWNER";

/// Whether a tree is exported again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// This is the last time.
    Last,
    /// It has to stay as it is.
    Again,
}

/// Hands the content of a tree out to a directory, which may hold other files already. Nothing is copied that can be
/// moved: an image is large, and its tree goes at the end of the run.
pub(crate) fn export(object: &Object, request: &ExportRequest, next: Use) -> Result<()> {
    let (target, top) = (&request.destination, request.top);
    let is_callers = std::env::var_os(NO_PRESERVE_VARIABLE).is_some_and(|value| value == "1");
    let result = if is_callers {
        osbuild_store::export(&object.tree(), target, Ownership::Caller, top)
    } else if next == Use::Last {
        osbuild_store::export_by_moving(object, target, top)
    } else {
        osbuild_store::export(&object.tree(), target, Ownership::Preserve, top)
    };
    result.with_context(|| format!("exporting to {}", target.display()))
}
