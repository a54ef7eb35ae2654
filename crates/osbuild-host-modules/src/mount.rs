//! What a mount is: it makes the file system on a device reachable below a directory.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Mounts file systems.
pub trait MountModule: Sync {
    /// Mounts the file system. The caller has entered a private mount namespace.
    fn mount(&self, request: &MountRequest<'_>) -> anyhow::Result<Mounted>;
}

/// What a mount is asked for.
#[derive(Clone, Copy, Debug)]
pub struct MountRequest<'a> {
    /// The device's node, with the partition already chosen.
    pub source: Option<&'a Path>,
    /// Where to mount, as seen from `root`; a leading slash means nothing.
    pub target: &'a str,
    /// The directory that holds all mounts of the stage.
    pub root: &'a Path,
    /// The tree that the stage works on.
    pub tree: &'a Path,
    /// The options of the mount.
    pub options: &'a Value,
}

/// A mounted file system; dropping the guard unmounts it.
pub struct Mounted {
    /// The mount point; none for mounts that act on the tree.
    pub path: Option<PathBuf>,
    /// Syncs and unmounts on drop.
    pub guard: Box<dyn Send>,
}

impl fmt::Debug for Mounted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Mounted")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
