//! Running programs of the tree itself: `/proc`, `/dev` and `/sys` are mounted in it for as long as that takes.
//!
//! They are no more than the stage itself has: file systems mounted anew would show the machine's disks, and let
//! scripts of the tree write the settings of its kernel.

use std::ffi::{CStr, OsStr};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

use crate::command::Command;
use crate::context::StageContext;
use crate::tree_root::TreeRoot;

/// Device nodes that do nothing to the machine.
const NODES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];
/// What shells and C libraries expect in `/dev` besides.
const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
];

/// What the kernel shows of the machine.
const SYS: &str = "/sys";

/// A tree that programs can be run in; leaving scope unmounts what was mounted.
#[derive(Debug)]
pub struct Chroot<'a> {
    context: &'a StageContext,
    root: PathBuf,
    mounted: Vec<PathBuf>,
}

impl<'a> Chroot<'a> {
    /// Mounts `/proc`, `/dev` and `/sys` in `root`.
    pub fn enter(context: &'a StageContext, root: &Path) -> Result<Self> {
        let (mut chroot, tree) = Self::with_proc_and_dev(context, root)?;
        let sys = chroot.mount_point(&tree, "/sys")?;
        // The stage's own is read-only, and so is what is bound of it.
        chroot.bind(Path::new(SYS), sys)?;
        Ok(chroot)
    }

    /// Mounts the same, but that `/sys` itself can be given attributes, as Fedora's package `filesystem` has it:
    /// what is in it is the machine's, and read-only.
    pub fn enter_to_install(context: &'a StageContext, root: &Path) -> Result<Self> {
        let (mut chroot, tree) = Self::with_proc_and_dev(context, root)?;
        let sys = chroot.mount_point(&tree, "/sys")?;
        chroot.mount_new(c"tmpfs", sys.clone(), MountFlags::NODEV, Some(c"mode=0555"))?;
        for entry in fs_err::read_dir(SYS)? {
            let entry = entry?;
            let target = sys.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                fs_err::create_dir(&target)?;
                chroot.bind(&entry.path(), target)?;
            }
        }
        Ok(chroot)
    }

    fn with_proc_and_dev(context: &'a StageContext, root: &Path) -> Result<(Self, TreeRoot)> {
        let mut chroot = Self {
            context,
            root: root.to_owned(),
            mounted: Vec::new(),
        };
        let tree = TreeRoot::open(root)?;
        chroot.mount_proc(&tree)?;
        chroot.mount_dev(&tree)?;
        Ok((chroot, tree))
    }

    /// Prepares to run a program of the tree.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.context.command("chroot").arg(&self.root).arg(program)
    }

    fn mount_proc(&mut self, tree: &TreeRoot) -> Result<()> {
        let proc = self.mount_point(tree, "/proc")?;
        let settings = proc.join("sys");
        self.mount_new(c"proc", proc, MountFlags::NODEV, None)?;
        // Read-only where the stage's own is.
        self.bind(Path::new("/proc/sys"), settings)
    }

    fn mount_dev(&mut self, tree: &TreeRoot) -> Result<()> {
        let dev = self.mount_point(tree, "/dev")?;
        self.mount_new(
            c"tmpfs",
            dev.clone(),
            MountFlags::empty(),
            Some(c"mode=0755"),
        )?;
        for name in NODES {
            let node = dev.join(name);
            fs_err::write(&node, "")?;
            self.bind(&Path::new("/dev").join(name), node)?;
        }
        for (target, name) in LINKS {
            fs_err::os::unix::fs::symlink(target, dev.join(name))?;
        }
        for (name, mode) in [("pts", 0o755), ("shm", 0o1777)] {
            fs_err::create_dir(dev.join(name))?;
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs_err::set_permissions(dev.join(name), mode)?;
        }
        Ok(())
    }

    /// Makes the directory if it is missing, and gives its path without links: one could lead out of the tree.
    fn mount_point(&self, tree: &TreeRoot, directory: &str) -> Result<PathBuf> {
        if !tree.exists(directory)? {
            self.context
                .log(format_args!("Making missing chroot directory: {directory}"));
            tree.create_dir_all(directory)?;
        }
        tree.real_path(directory)
    }

    fn mount_new(
        &mut self,
        kind: &CStr,
        target: PathBuf,
        flags: MountFlags,
        data: Option<&CStr>,
    ) -> Result<()> {
        let flags = flags | MountFlags::NOSUID | MountFlags::NOEXEC;
        mount(kind, &target, kind, flags, data)
            .map_err(io::Error::from)
            .with_context(|| {
                format!(
                    "mounting {} at {}",
                    kind.to_string_lossy(),
                    target.display()
                )
            })?;
        self.mounted.push(target);
        Ok(())
    }

    fn bind(&mut self, source: &Path, target: PathBuf) -> Result<()> {
        mount_bind(source, &target)
            .map_err(io::Error::from)
            .with_context(|| format!("showing {} at {}", source.display(), target.display()))?;
        self.mounted.push(target);
        Ok(())
    }
}

impl Drop for Chroot<'_> {
    fn drop(&mut self) {
        while let Some(target) = self.mounted.pop() {
            let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
            if let Err(error) = unmount(&target, flags) {
                self.context.log(format_args!(
                    "Error unmounting {}: {error}",
                    target.display()
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use osbuild_testing::private_mounts::in_private_mounts;
    use rustix::fs::{FileType, Mode, makedev, mknodat};
    use serde_json::json;

    use super::*;
    use crate::output::Output;

    #[test]
    fn programs_of_the_tree_see_the_devices_of_the_stage_and_nothing_stays() {
        osbuild_testing::needs![root, tool("unshare")];
        in_private_mounts(
            "chroot::tests::programs_of_the_tree_see_the_devices_of_the_stage_and_nothing_stays",
            check_mounts,
        );
    }

    fn check_mounts() {
        let folder = tempfile::tempdir().unwrap();
        // A stage's /dev and /sys, so that there is something to tell from those of the machine.
        let (dev, tree) = (folder.path().join("dev"), folder.path().join("tree"));
        for directory in [&dev, &tree] {
            fs_err::create_dir(directory).unwrap();
        }
        mount(c"dev", &dev, c"tmpfs", MountFlags::empty(), None).unwrap();
        for name in NODES {
            let device = makedev(1, 3);
            let mode = Mode::from_raw_mode(0o666);
            let node = dev.join(name);
            mknodat(
                rustix::fs::CWD,
                &node,
                FileType::CharacterDevice,
                mode,
                device,
            )
            .unwrap();
        }
        let disk = dev.join("disk");
        let mode = Mode::from_raw_mode(0o600);
        mknodat(
            rustix::fs::CWD,
            &disk,
            FileType::BlockDevice,
            mode,
            makedev(7, 0),
        )
        .unwrap();
        mount_bind(&dev, "/dev").unwrap();
        for read_only in ["/sys", "/proc/sys"] {
            mount_bind(read_only, read_only).unwrap();
            let flags = MountFlags::BIND | MountFlags::RDONLY;
            rustix::mount::mount_remount(read_only, flags, "").unwrap();
        }
        // A hostile tree: the machine's own /dev must not be mounted on.
        fs_err::create_dir(tree.join("real")).unwrap();
        fs_err::os::unix::fs::symlink("/real", tree.join("dev")).unwrap();

        let arguments = json!({"tree": tree, "options": {}, "meta": {},
            "paths": {"devices": "/dev", "inputs": "/i", "mounts": "/m"},
            "devices": {}, "inputs": {}, "mounts": {}});
        let context =
            StageContext::new(arguments, PathBuf::from("/nonexistent"), Output::buffered())
                .unwrap();
        let chroot = context.chroot().unwrap();
        let mut names: Vec<String> = fs_err::read_dir(tree.join("real"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(
            names.join(" "),
            "fd full null pts random shm stderr stdin stdout tty urandom zero"
        );
        fs_err::write(tree.join("real/null"), "gone").unwrap();
        assert!(tree.join("proc/self/status").exists());
        for settings in ["sys", "proc/sys"] {
            let flags = rustix::fs::statvfs(tree.join(settings)).unwrap().f_flag;
            assert!(
                flags.contains(rustix::fs::StatVfsMountFlags::RDONLY),
                "{settings}"
            );
        }
        drop(chroot);

        let chroot = Chroot::enter_to_install(&context, &tree).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs_err::set_permissions(tree.join("sys"), mode).unwrap();
        let attribute = tree.join("sys/kernel/uevent_seqnum");
        assert!(attribute.exists());
        let error = fs_err::set_permissions(
            tree.join("sys/kernel"),
            std::os::unix::fs::PermissionsExt::from_mode(0o700),
        );
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::ReadOnlyFilesystem);
        drop(chroot);
        let mounts = fs_err::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(tree.to_str().unwrap()), "{mounts}");
        for directory in ["real", "proc", "sys"] {
            let left = fs_err::read_dir(tree.join(directory)).unwrap().count();
            assert_eq!(left, 0, "{directory}");
        }
    }
}
