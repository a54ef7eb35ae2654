//! Files of sections that a stage changes some options of.

use anyhow::Result;
use osbuild_stage_api::{ExitWith, StageContext};

use crate::shared::ini_document::IniDocument;

/// Reads a file of the tree; if there is none, starts a new one and says so.
pub(crate) fn read_or_new(context: &StageContext, file: &str) -> Result<IniDocument> {
    let tree = context.tree_path()?;
    if tree.exists(file)? {
        return IniDocument::parse(&tree.read_to_string(file)?);
    }
    context.log(format_args!("{file} does not exist, and is made"));
    Ok(IniDocument::default())
}

/// Reads a file of the tree; if there is none, says so and ends the stage.
pub(crate) fn read(context: &StageContext, file: &str) -> Result<IniDocument> {
    let tree = context.tree_path()?;
    if tree.exists(file)? {
        return IniDocument::parse(&tree.read_to_string(file)?);
    }
    context.log(format_args!("Error: {file} does not exist"));
    Err(ExitWith(1).into())
}
