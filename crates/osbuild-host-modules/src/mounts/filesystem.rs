//! Mounting the file system of a block device through the kernel's mount interface.
//!
//! The `mount` program would do the same calls; without it the host needs one tool less, and the kernel's own
//! words about what is wrong get into the error.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Error, Result, anyhow, bail};
use rustix::fs::syncfs;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
};

use super::mount_point::MountPoint;
use super::options::MountOptions;
use crate::{MountRequest, Mounted};

/// How long processes of a stage that just ended may take to let go of a file system.
const BUSY_TRIES: u32 = 40;
const BUSY_WAIT: Duration = Duration::from_millis(50);

/// The kernel's messages are shorter, and lines longer than its buffer are cut anyway.
const MESSAGE_SIZE: usize = 8192;

/// Mounts a file system of the given type.
pub(super) fn mount(kind: &'static str, request: &MountRequest<'_>) -> Result<Mounted> {
    let options = MountOptions::read(request.options)?;
    let source = request
        .source
        .with_context(|| format!("a mount of {kind} needs a `source` device"))?;
    let node = host_node(source)?;
    let mounted = make_mount(kind, &node, &options)
        .with_context(|| format!("mounting {kind} from {}", node.display()))?;
    let point = MountPoint::make(request.root, request.target)?;
    move_mount(
        mounted.as_fd(),
        "",
        point.directory.as_fd(),
        "",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
    .with_context(|| format!("mounting {kind} at {}", point.path.display()))?;
    Ok(Mounted {
        path: Some(request.root.join(request.target.trim_start_matches('/'))),
        guard: Box::new(MountedFilesystem { path: point.path }),
    })
}

/// The name of the same device in the host's `/dev`, if it has one: programs that look at the mount table
/// (grub-install) find a device in the sandbox by it. See <https://github.com/osbuild/osbuild/issues/1492>.
fn host_node(source: &Path) -> Result<PathBuf> {
    let metadata = fs_err::metadata(source).context("the device to mount is not there")?;
    if !metadata.file_type().is_block_device() {
        bail!("{} is not a block device", source.display());
    }
    let Some(name) = source.file_name() else {
        return Ok(source.to_owned());
    };
    let node = Path::new("/dev").join(name);
    let is_same = std::fs::metadata(&node)
        .is_ok_and(|other| other.file_type().is_block_device() && other.rdev() == metadata.rdev());
    Ok(if is_same { node } else { source.to_owned() })
}

fn make_mount(kind: &'static str, source: &Path, options: &MountOptions) -> Result<OwnedFd> {
    match configure(kind, source, options, options.is_read_only) {
        // As mount(8) does with a device that cannot be written.
        Err(Failure {
            errno: Some(Errno::ROFS | Errno::ACCESS),
            ..
        }) if !options.is_read_only => {
            tracing::warn!(
                "{} is write-protected: mounting it read-only",
                source.display()
            );
            configure(kind, source, options, true).map_err(|failure| failure.error)
        }
        other => other.map_err(|failure| failure.error),
    }
}

struct Failure {
    errno: Option<Errno>,
    error: Error,
}

fn configure(
    kind: &'static str,
    source: &Path,
    options: &MountOptions,
    is_read_only: bool,
) -> Result<OwnedFd, Failure> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|errno| Failure {
        errno: Some(errno),
        error: open_error(kind, errno),
    })?;
    let context = context.as_fd();
    let set = |name: &str, result: rustix::io::Result<()>| {
        result.map_err(|errno| Failure {
            errno: None,
            error: explain(context, errno).context(format!("setting the option `{name}`")),
        })
    };
    set("source", fsconfig_set_string(context, "source", source))?;
    if is_read_only {
        set("ro", fsconfig_set_flag(context, "ro"))?;
    }
    for name in &options.flags {
        set(name, fsconfig_set_flag(context, *name))?;
    }
    for (name, value) in &options.values {
        set(name, fsconfig_set_string(context, *name, value.as_str()))?;
    }
    fsconfig_create(context).map_err(|errno| Failure {
        errno: Some(errno),
        error: explain(context, errno),
    })?;
    let attributes = if is_read_only {
        MountAttrFlags::MOUNT_ATTR_RDONLY
    } else {
        MountAttrFlags::empty()
    };
    fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(|errno| Failure {
        errno: Some(errno),
        error: explain(context, errno),
    })
}

fn open_error(kind: &str, errno: Errno) -> Error {
    match errno {
        Errno::NODEV => anyhow!(
            "the running kernel has no `{kind}` file system; load it with `modprobe {kind}`, or build on a \
             machine whose kernel has it"
        ),
        Errno::PERM => anyhow!("mounting is not permitted: it needs root (CAP_SYS_ADMIN)"),
        other => anyhow!(other).context(format!("opening the file system type `{kind}`")),
    }
}

/// The error with what the kernel has written about it.
fn explain(context: BorrowedFd<'_>, errno: Errno) -> Error {
    let mut text = vec![errno.to_string()];
    let mut buffer = vec![0; MESSAGE_SIZE];
    while let Ok(count) = rustix::io::read(context, &mut buffer) {
        if count == 0 {
            break;
        }
        // Each message starts with `e `, `w ` or `i `, its gravity.
        let message = String::from_utf8_lossy(&buffer[..count]);
        let message = message.trim_end();
        text.push(message.get(2..).unwrap_or(message).to_owned());
    }
    if errno == Errno::INVAL && text.len() == 1 {
        text.push("is this the right file system for the device?".to_owned());
    }
    anyhow!(text.join(": "))
}

/// A mounted file system; written out and unmounted on drop.
struct MountedFilesystem {
    path: PathBuf,
}

impl Drop for MountedFilesystem {
    fn drop(&mut self) {
        // Copies of the mount may live on in a sandbox that is going away: what was written must be on the
        // device before it is detached, not when the last of them ends.
        match fs_err::File::open(&self.path) {
            Ok(directory) => {
                if let Err(error) = syncfs(&directory) {
                    tracing::warn!("writing out {}: {error}", self.path.display());
                }
            }
            Err(error) => tracing::warn!("writing out a file system: {error}"),
        }
        if let Err(error) = unmount_patiently(&self.path) {
            tracing::warn!("unmounting {}: {error}", self.path.display());
        }
    }
}

fn unmount_patiently(path: &Path) -> rustix::io::Result<()> {
    for _ in 0..BUSY_TRIES {
        match unmount(path, UnmountFlags::NOFOLLOW) {
            Err(Errno::BUSY) => std::thread::sleep(BUSY_WAIT),
            // Someone has unmounted it already, as recursive unmounts do.
            Err(Errno::INVAL) => {
                tracing::debug!("already unmounted: {}", path.display());
                return Ok(());
            }
            other => return other,
        }
    }
    tracing::warn!("{} is still in use: detaching it", path.display());
    unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
}
