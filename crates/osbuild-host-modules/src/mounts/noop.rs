//! `org.osbuild.noop`: a place, and nothing mounted there.

use anyhow::Result;

use super::mount_point::MountPoint;
use crate::{MountModule, MountRequest, Mounted};

/// The module.
#[derive(Debug)]
pub struct Noop;

impl MountModule for Noop {
    fn mount(&self, request: &MountRequest<'_>) -> Result<Mounted> {
        MountPoint::make(request.root, request.target)?;
        Ok(Mounted {
            path: Some(request.root.join(request.target.trim_start_matches('/'))),
            guard: Box::new(()),
        })
    }
}
