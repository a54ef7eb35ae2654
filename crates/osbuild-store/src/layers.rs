//! A tree in the making whose changes go into a layer on top of others.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use fs_err as fs;
use osbuild_sandbox::mount::MountGuard;
use osbuild_sandbox::overlay::{OverlayChanges, OverlayLayers, overlay};

use crate::copy::copy_attributes_of_layer;
use crate::hard_links;
use crate::remove_tree::remove_tree;

/// Layers of a tree at most; one with more is copied into one directory. The kernel allows 500, and every layer makes
/// looking for a file a little slower.
pub(crate) const MAXIMUM_LAYERS: usize = 60;

/// A writable view of layers.
///
/// ```text
/// layers/1, layers/2, …   what was changed, the oldest first; the last one takes changes
/// work/                   the kernel's
/// view/                   where the tree is mounted
/// ```
#[derive(Debug)]
pub(crate) struct WritableView {
    /// The entry of the store that all of it is in.
    place: PathBuf,
    /// What the view shows below the layer that takes changes, the topmost first.
    lower: Vec<PathBuf>,
    upper: PathBuf,
    /// The status of the new layer's top when nothing was changed yet.
    untouched: Untouched,
    mount: Option<MountGuard>,
}

impl WritableView {
    /// Mounts a view on top of `lower`, the topmost first; changes go to a new layer with this number.
    pub(crate) fn create(place: &Path, lower: Vec<PathBuf>, number: usize) -> Result<Self> {
        let upper = place.join(format!("layers/{number}"));
        let (work, view) = (place.join("work"), place.join("view"));
        fs::create_dir_all(&upper)?;
        for directory in [&work, &view] {
            if !directory.exists() {
                fs::create_dir(directory)?;
            }
        }
        // The top of the view is that of its highest layer.
        copy_attributes_of_layer(&lower[0], &upper)?;
        let mount = overlay(
            &OverlayLayers {
                lower: &lower,
                changes: Some(OverlayChanges {
                    upper: &upper,
                    work: &work,
                }),
            },
            &view,
        )?;
        Ok(Self {
            place: place.to_owned(),
            untouched: Untouched::read(&upper)?,
            lower,
            upper,
            mount: Some(mount),
        })
    }

    /// Gives the top of the tree.
    pub(crate) fn path(&self) -> PathBuf {
        self.place.join("view")
    }

    /// Gives the count of layers below the one that takes changes.
    pub(crate) fn below(&self) -> usize {
        self.lower.len()
    }

    /// Ends the view and gives the layers of the tree, the topmost first. A layer without any change is thrown away.
    pub(crate) fn finish(mut self) -> Result<Vec<PathBuf>> {
        let index = self.place.join("work/index");
        hard_links::complete(&index, &self.upper, &self.lower, &self.path())
            .context("completing files with several names")?;
        self.end()?;
        let mut layers = std::mem::take(&mut self.lower);
        if fs::read_dir(&self.upper)?.next().is_none()
            && Untouched::read(&self.upper)? == self.untouched
        {
            fs::remove_dir(&self.upper)?;
        } else {
            layers.insert(0, self.upper.clone());
        }
        Ok(layers)
    }

    /// Throws away what was changed and gives the layers below.
    pub(crate) fn abandon(mut self) -> Result<Vec<PathBuf>> {
        self.end()?;
        remove_tree(&self.upper)?;
        Ok(std::mem::take(&mut self.lower))
    }

    fn end(&mut self) -> Result<()> {
        if let Some(mount) = self.mount.take()
            && let Err(error) = mount.unmount()
        {
            // Detached all the same: whoever still has a file of it open keeps it from nobody else.
            tracing::debug!("a view is still in use: {error:#}");
        }
        remove_tree(&self.place.join("work"))?;
        fs::remove_dir(self.path())?;
        Ok(())
    }
}

/// What tells whether anything about a directory itself was changed. The time alone does not: it has the resolution of
/// the kernel's clock tick.
#[derive(Debug, PartialEq, Eq)]
struct Untouched {
    mode: u32,
    owner: (u32, u32),
    changed: (i64, i64),
}

impl Untouched {
    fn read(directory: &Path) -> Result<Self> {
        let metadata = fs::symlink_metadata(directory)?;
        Ok(Self {
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}
