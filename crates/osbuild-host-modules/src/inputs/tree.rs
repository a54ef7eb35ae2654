//! `org.osbuild.tree`: the tree of a pipeline.

use anyhow::{Context as _, Result, bail};
use osbuild_sandbox::Access;

use crate::{InputModule, InputRequest, MappedInput};

/// The module.
#[derive(Debug)]
pub struct Tree;

impl InputModule for Tree {
    fn map(&self, request: &InputRequest<'_>) -> Result<MappedInput> {
        let mut references = request.references.keys();
        let (Some(id), None) = (references.next(), references.next()) else {
            bail!(
                "a tree input has one reference, not {}",
                request.references.len()
            );
        };
        let tree = request
            .objects
            .tree(id)
            .with_context(|| format!("Unknown pipeline '{id}'"))?;
        let guard = osbuild_sandbox::mount::bind(&tree, request.target, Access::ReadOnly)
            .with_context(|| format!("showing the tree of pipeline {id}"))?;
        Ok(MappedInput {
            path: request.target.to_owned(),
            data: None,
            guards: vec![Box::new(guard)],
        })
    }
}
