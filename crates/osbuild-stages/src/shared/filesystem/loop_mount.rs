//! Mounting a file system that is in a file. The sandbox's own `/dev` has no loop devices, so their nodes are made.

use std::path::Path;

use anyhow::{Context, Result};
use osbuild_sandbox::mount::MountGuard;
use osbuild_sandbox::{LoopDevice, LoopOptions};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::MountFlags;

use super::extent::Extent;
use super::filled::Kind;

/// Numbers of the nodes (`Documentation/admin-guide/devices.txt`).
const CONTROL: (&str, u32, u32) = ("/dev/loop-control", 10, 237);
const LOOP_MAJOR: u32 = 7;
/// The kernel makes more devices than these only when all are in use.
const DEVICES: u32 = 256;

/// A mounted part of a file; undone when dropped.
#[derive(Debug)]
pub(crate) struct LoopMount {
    // In this order: a mounted device is in use.
    mount: MountGuard,
    device: LoopDevice,
}

impl LoopMount {
    /// Mounts the file system that is at `extent` in a file.
    pub(crate) fn new(image: &Path, extent: Extent, kind: Kind, target: &Path) -> Result<Self> {
        let device = attach(image, extent)?;
        // A file system of the same UUID may be mounted elsewhere, where this is built a second time.
        let data = (kind == Kind::Xfs).then_some(c"nouuid");
        rustix::mount::mount(
            device.path(),
            target,
            kind.name(),
            MountFlags::NODEV | MountFlags::NOSUID,
            data,
        )
        .with_context(|| {
            format!(
                "mounting {} as {} on {}: the kernel may not know it",
                device.path().display(),
                kind.name(),
                target.display()
            )
        })?;
        Ok(Self {
            mount: MountGuard::adopt(target),
            device,
        })
    }

    /// Unmounts it, and waits until everything is in the file.
    pub(crate) fn finish(self) -> Result<()> {
        self.mount.unmount()?;
        self.device.detach()
    }
}

/// Makes a part of a file a device.
pub(crate) fn attach(image: &Path, extent: Extent) -> Result<LoopDevice> {
    if !Path::new(CONTROL.0).exists() {
        make_nodes().context("making the nodes of loop devices")?;
    }
    let file = fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .open(image)?;
    let options = LoopOptions {
        offset: extent.start,
        size: Some(extent.length),
        is_locked: true,
        ..LoopOptions::default()
    };
    LoopDevice::attach(file.file(), &options)
}

fn make_nodes() -> Result<()> {
    let (control, major, minor) = CONTROL;
    let mode = Mode::from_raw_mode(0o600);
    mknodat(
        CWD,
        control,
        FileType::CharacterDevice,
        mode,
        makedev(major, minor),
    )?;
    for number in 0..DEVICES {
        let node = format!("/dev/loop{number}");
        mknodat(
            CWD,
            node,
            FileType::BlockDevice,
            mode,
            makedev(LOOP_MAJOR, number),
        )?;
    }
    Ok(())
}
