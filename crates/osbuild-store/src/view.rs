//! What shows a finished tree to those who read it: nobody can change it there.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use osbuild_sandbox::Access;
use osbuild_sandbox::mount::{MountGuard, bind};
use osbuild_sandbox::overlay::{OverlayLayers, overlay};

use crate::store::Store;
use crate::temporary::TemporaryDirectory;

/// A tree as it can be read.
#[derive(Debug)]
pub(crate) struct View {
    path: PathBuf,
    /// Dropped before the directory that it is on.
    _mount: Option<MountGuard>,
    _directory: Option<TemporaryDirectory>,
}

impl View {
    /// Shows the directories of `stack`, the topmost first, as one tree.
    ///
    /// With mounts it is read-only; without, a tree of one directory is shown as it is, and others can not be.
    pub(crate) fn of(store: &Store, stack: &[PathBuf]) -> Result<Self> {
        match stack {
            [] => bail!("there is no tree to show"),
            [only] if !store.may_mount() => Ok(Self {
                path: only.clone(),
                _mount: None,
                _directory: None,
            }),
            _ if !store.may_mount() => {
                bail!("a tree in layers can only be read where mounts are allowed")
            }
            _ => {
                let directory = store.temporary("view")?;
                let mount = match stack {
                    [only] => bind(only, directory.path(), Access::ReadOnly)?,
                    layers => overlay(
                        &OverlayLayers {
                            lower: layers,
                            changes: None,
                        },
                        directory.path(),
                    )?,
                };
                Ok(Self {
                    path: directory.path().to_owned(),
                    _mount: Some(mount),
                    _directory: Some(directory),
                })
            }
        }
    }

    /// Gives the top of the tree.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
