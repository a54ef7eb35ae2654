//! `org.osbuild.bind`: shows a part of what is mounted in the tree.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use osbuild_sandbox::Access;
use serde::Deserialize;

use super::mount_point::MountPoint;
use crate::{MountModule, MountRequest, Mounted};

/// The module.
#[derive(Debug)]
pub struct Bind;

/// The schema asks for the one and allows others, which mean nothing.
#[derive(Debug, Deserialize)]
struct Options {
    source: String,
}

impl MountModule for Bind {
    fn mount(&self, request: &MountRequest<'_>) -> Result<Mounted> {
        let options =
            Options::deserialize(request.options).context("reading the options of a bind mount")?;
        let source = find(&options.source, request)?;
        let target = find(request.target, request)?;
        let guard = osbuild_sandbox::mount::bind(&source.path, &target.path, Access::ReadWrite)
            .with_context(|| format!("binding {} to {}", options.source, request.target))?;
        Ok(Mounted {
            path: None,
            guard: Box::new(guard),
        })
    }
}

/// Finds a directory of the tree or of the mounts: `tree://` and `mount://`, and what lies below.
fn find(location: &str, request: &MountRequest<'_>) -> Result<MountPoint> {
    let (root, path): (&Path, &str) = if let Some(path) = location.strip_prefix("tree://") {
        (request.tree, path)
    } else if let Some(path) = location.strip_prefix("mount://") {
        (request.root, path)
    } else {
        bail!("`{location}` begins with neither tree:// nor mount://");
    };
    MountPoint::find(root, path).with_context(|| format!("finding {location}"))
}
