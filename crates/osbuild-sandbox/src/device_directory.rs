//! The `/dev` of a stage: a file system in memory with the few nodes that every program expects.

use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use tempfile::TempDir;

use crate::mount::{self, MountGuard};
use crate::spec::Access;

/// Name, major and minor number of the nodes (`Documentation/admin-guide/devices.txt`).
const NODES: [(&str, u32, u32); 6] = [
    ("full", 1, 7),
    ("null", 1, 3),
    ("random", 1, 8),
    ("tty", 5, 0),
    ("urandom", 1, 9),
    ("zero", 1, 5),
];

/// Shown only if the host has it.
const FUSE: (&str, u32, u32) = ("fuse", 10, 229);

/// Everybody may read and write; the nodes do nothing to anyone.
const NODE_MODE: Mode = Mode::from_raw_mode(0o666);

/// A directory of device nodes, to which devices can be added while a stage runs. Gone when dropped.
#[derive(Debug)]
pub struct DeviceDirectory {
    // In this order: what is mounted below the top goes with it, then the directory itself.
    _mount: MountGuard,
    directory: TempDir,
}

impl DeviceDirectory {
    /// Makes one below `parent`, which must exist.
    pub fn create(parent: &Path) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("osbuild-dev-")
            .tempdir_in(parent)
            .with_context(|| format!("making a device directory in {}", parent.display()))?;
        let mount = mount::tmpfs(directory.path(), 0o755)?;
        let devices = Self {
            _mount: mount,
            directory,
        };
        for node in NODES {
            devices.add(node)?;
        }
        if Path::new("/dev").join(FUSE.0).exists() {
            devices.add(FUSE)?;
        }
        Ok(devices)
    }

    /// Gives its path on the host.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    fn add(&self, (name, major, minor): (&str, u32, u32)) -> Result<()> {
        let path = self.path().join(name);
        let made = mknodat(
            CWD,
            &path,
            FileType::CharacterDevice,
            NODE_MODE,
            makedev(major, minor),
        );
        match made {
            // Not the mode that the umask of the caller left of it.
            Ok(()) => rustix::fs::chmodat(CWD, &path, NODE_MODE, rustix::fs::AtFlags::empty())
                .with_context(|| format!("setting the mode of {}", path.display())),
            // Root of a user namespace can not make nodes, but may show those of the host.
            Err(rustix::io::Errno::PERM) => bind_from_host(name, &path),
            Err(error) => {
                Err(error).with_context(|| format!("making device node {}", path.display()))
            }
        }
    }
}

/// Shows a node of the host; the mount goes with the directory's own, which is detached as a whole.
fn bind_from_host(name: &str, path: &Path) -> Result<()> {
    fs_err::File::create(path)?;
    let mount = mount::clone_tree(&Path::new("/dev").join(name), Access::Device)
        .with_context(|| format!("opening device node /dev/{name}"))?;
    mount::attach(std::os::fd::AsFd::as_fd(&mount), path)
}
