//! The input of stages that turn one file into another.

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Result, bail};
use osbuild_stage_api::StageContext;
use rustix::fs::OFlags;

/// Returns the file of an input that must offer exactly one.
pub(crate) fn only_file(context: &StageContext, input: &str) -> Result<PathBuf> {
    let input_reply = context.input(input)?;
    let names: Vec<_> = input_reply.files().map(|(name, _)| name).collect();
    match names[..] {
        [name] => Ok(input_reply.path().join(name)),
        _ => bail!(
            "the input `{input}` must offer one file, but offers {}",
            names.len()
        ),
    }
}

/// Makes the file of the tree that the result goes to.
pub(crate) fn new_file(context: &StageContext, name: &str) -> Result<File> {
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC;
    context.tree_path()?.open_file(name, flags, 0o666)
}
