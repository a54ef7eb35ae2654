//! The tree that an image is made of.

use std::path::PathBuf;

use anyhow::Result;
use osbuild_stage_api::StageContext;

/// Returns where the tree is: at a location, else in the input `tree`.
pub(crate) fn image_source(context: &StageContext, location: Option<&str>) -> Result<PathBuf> {
    match location {
        Some(location) => {
            let location = context.resolve_location(location)?;
            location.tree_root()?.real_path(location.path())
        }
        None => Ok(context.input("tree")?.path().to_owned()),
    }
}
