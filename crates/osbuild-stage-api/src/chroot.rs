//! Running programs of the tree itself: `/proc`, `/dev` and `/sys` are mounted in it for as long as that takes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::command::Command;
use crate::context::StageContext;
use crate::tree_root::TreeRoot;

/// What programs expect to find; the order is that of mounting.
const VIRTUAL_FILE_SYSTEMS: [&str; 3] = ["/proc", "/dev", "/sys"];

/// A tree that programs can be run in; leaving scope unmounts what was mounted.
#[derive(Debug)]
pub struct Chroot<'a> {
    context: &'a StageContext,
    root: PathBuf,
    mounted: Vec<PathBuf>,
}

impl<'a> Chroot<'a> {
    /// Mounts `/proc`, `/dev`, `/sys`, and the given directories of the build root, in `root`.
    pub fn enter(context: &'a StageContext, root: &Path, bind_mounts: &[&str]) -> Result<Self> {
        let mut chroot = Self {
            context,
            root: root.to_owned(),
            mounted: Vec::new(),
        };
        let tree = TreeRoot::open(root)?;
        for directory in VIRTUAL_FILE_SYSTEMS {
            chroot.ensure_directory(&tree, directory)?;
        }
        chroot.mount(
            &tree,
            "/proc",
            &["-t", "proc", "-o", "nosuid,noexec,nodev", "proc"],
        )?;
        let devtmpfs = [
            "-t",
            "devtmpfs",
            "-o",
            "mode=0755,noexec,nosuid,strictatime",
            "devtmpfs",
        ];
        // A sandbox in a user namespace may not mount a devtmpfs; its own /dev will do.
        if chroot.mount(&tree, "/dev", &devtmpfs).is_err() {
            chroot.mount(&tree, "/dev", &["--bind", "/dev"])?;
        }
        chroot.mount(
            &tree,
            "/sys",
            &["-t", "sysfs", "-o", "nosuid,noexec,nodev", "sysfs"],
        )?;
        for directory in bind_mounts {
            chroot.ensure_directory(&tree, directory)?;
            chroot.mount(&tree, directory, &["--rbind", directory])?;
        }
        Ok(chroot)
    }

    /// Prepares to run a program of the tree.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.context.command("chroot").arg(&self.root).arg(program)
    }

    fn ensure_directory(&self, tree: &TreeRoot, directory: &str) -> Result<()> {
        if !tree.exists(directory)? {
            self.context
                .log(format_args!("Making missing chroot directory: {directory}"));
            tree.create_dir_all(directory)?;
        }
        Ok(())
    }

    fn mount(&mut self, tree: &TreeRoot, directory: &str, arguments: &[&str]) -> Result<()> {
        // Without links: `mount` would follow one that leads out of the tree.
        let target = tree.real_path(directory)?;
        self.context
            .command("mount")
            .args(arguments)
            .arg(&target)
            .run()?;
        self.mounted.push(target);
        Ok(())
    }
}

impl Drop for Chroot<'_> {
    fn drop(&mut self) {
        while let Some(target) = self.mounted.pop() {
            let result = self
                .context
                .command("umount")
                .arg("--lazy")
                .arg(&target)
                .run();
            if let Err(error) = result {
                self.context.log(format_args!(
                    "Error unmounting {}: {error:#}",
                    target.display()
                ));
            }
        }
    }
}
