//! Ways to give a new tree the content of an old one.

use std::path::Path;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use fs_err as fs;
use osbuild_sandbox::overlay::{OverlayChanges, OverlayLayers, overlay};
use thiserror::Error;

use crate::temporary::TemporaryDirectory;

/// Names the way, instead of what the file system suggests: `overlay`, `reflink` or `copy`.
const VARIABLE: &str = "OSBUILD_SNAPSHOTTER";

/// A way to make a writable tree that starts as another one, which stays as it is.
///
/// | | a new tree costs | a result that is kept costs | needs |
/// |---|---|---|---|
/// | overlay | about a millisecond | what differs from the tree before | root, and mounts of this process's own |
/// | reflink | something for each entry | a copy without the content of files | XFS or btrfs |
/// | copy | everything | everything | nothing |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snapshotter {
    /// Overlay file systems: what is written goes into a layer on top.
    Overlay,
    /// Copies that share the blocks of files.
    Reflink,
    /// Copies.
    Copy,
}

/// The text is no way to make trees.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no snapshotter: they are `overlay`, `reflink` and `copy`")]
pub struct ParseSnapshotterError(String);

impl FromStr for Snapshotter {
    type Err = ParseSnapshotterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "overlay" => Ok(Self::Overlay),
            "reflink" => Ok(Self::Reflink),
            "copy" => Ok(Self::Copy),
            other => Err(ParseSnapshotterError(other.to_owned())),
        }
    }
}

impl Snapshotter {
    /// Gives what `OSBUILD_SNAPSHOTTER` asks for, if anything.
    pub fn from_environment() -> Result<Option<Self>> {
        match std::env::var(VARIABLE) {
            Ok(text) if text.is_empty() => Ok(None),
            Ok(text) => Ok(Some(text.parse().with_context(|| {
                format!("reading the environment variable {VARIABLE}")
            })?)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(error) => Err(error).context(format!("reading {VARIABLE}")),
        }
    }

    /// Gives the best that works in `scratch`, or the one that is wanted.
    ///
    /// # Errors
    /// The one that is wanted does not work there.
    pub(crate) fn choose(
        wanted: Option<Self>,
        may_mount: bool,
        scratch: &TemporaryDirectory,
    ) -> Result<Self> {
        let works = |way: Self| match way {
            Self::Overlay if !may_mount => bail!("this process has no mounts of its own"),
            Self::Overlay => try_overlay(scratch.path()),
            Self::Reflink => try_reflink(scratch.path()),
            Self::Copy => Ok(()),
        };
        if let Some(wanted) = wanted {
            works(wanted).with_context(|| {
                format!("{VARIABLE} asks for {wanted:?}, which does not work in this store")
            })?;
            return Ok(wanted);
        }
        for way in [Self::Overlay, Self::Reflink] {
            match works(way) {
                Ok(()) => return Ok(way),
                Err(error) => tracing::debug!("{way:?} does not work in this store: {error:#}"),
            }
        }
        Ok(Self::Copy)
    }
}

/// Does with an overlay what builds do.
fn try_overlay(scratch: &Path) -> Result<()> {
    let [lower, upper, work, view] =
        ["lower", "upper", "work", "view"].map(|name| scratch.join(name));
    for directory in [&lower.join("folder"), &upper, &work, &view] {
        fs::create_dir_all(directory)?;
    }
    fs::write(lower.join("folder/file"), "below")?;
    fs::hard_link(lower.join("folder/file"), lower.join("other"))?;
    let mounted = overlay(
        &OverlayLayers {
            lower: std::slice::from_ref(&lower),
            changes: Some(OverlayChanges {
                upper: &upper,
                work: &work,
            }),
        },
        &view,
    )?;
    fs::rename(view.join("folder"), view.join("renamed")).context("renaming a directory")?;
    fs::write(view.join("other"), "above")?;
    let content = fs::read_to_string(view.join("renamed/file"))?;
    if content != "above" {
        bail!("files with several names are torn apart");
    }
    fs::remove_file(view.join("other"))?;
    mounted.unmount()
}

/// Shares the blocks of a file.
fn try_reflink(scratch: &Path) -> Result<()> {
    let (source, target) = (scratch.join("source"), scratch.join("target"));
    fs::write(&source, [1; 4096])?;
    let source = fs::File::open(source)?;
    let target = fs::File::create(target)?;
    rustix::fs::ioctl_ficlone(&target, &source).context("sharing the blocks of a file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshotters_are_named_in_lower_case() {
        assert_eq!("overlay".parse(), Ok(Snapshotter::Overlay));
        assert_eq!("reflink".parse(), Ok(Snapshotter::Reflink));
        assert_eq!("copy".parse(), Ok(Snapshotter::Copy));
        assert_eq!(
            "Copy".parse::<Snapshotter>().unwrap_err().to_string(),
            "`Copy` is no snapshotter: they are `overlay`, `reflink` and `copy`"
        );
    }
}
