//! Removes trees, and nothing but trees.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, IFlags, Mode, OFlags, ResolveFlags, ioctl_getflags,
    ioctl_setflags, openat, openat2, unlinkat,
};
use rustix::io::Errno;

/// Removes a file or a whole directory; it is no error if there is none.
///
/// Never goes into a mount: upstream osbuild once left the host's `/usr` bind-mounted in its store, for
/// `rm -rf` to find. Immutable flags and permissions that are in the way are lifted.
///
/// # Errors
/// Something is mounted in the tree, or it can not be removed for another reason; the rest of it may be gone.
pub fn remove_tree(path: &Path) -> Result<()> {
    let Some(name) = path.file_name() else {
        bail!("{} can not be removed", path.display());
    };
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = match openat(CWD, parent, flags, Mode::empty()) {
        Ok(parent) => parent,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("opening {}", parent.display()));
        }
    };
    let name = std::ffi::CString::new(name.as_encoded_bytes())
        .with_context(|| format!("{} holds a zero byte", path.display()))?;
    let mut place = path.to_owned();
    remove_entry(parent.as_fd(), &name, &mut place)
}

/// Removes one entry of a directory; `place` is its path, for errors.
fn remove_entry(parent: BorrowedFd<'_>, name: &CStr, place: &mut PathBuf) -> Result<()> {
    match unlink(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(Errno::BUSY) => bail!("something is mounted on {}", place.display()),
        Err(error) => {
            return Err(error).with_context(|| format!("removing {}", place.display()));
        }
    }
    let directory = open_directory(parent, name, place)?;
    empty_directory(&directory, place)?;
    match unlink(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("removing {}", place.display())),
    }
}

/// Opens a directory to empty it, unless it is on another mount than its parent.
fn open_directory(parent: BorrowedFd<'_>, name: &CStr, place: &Path) -> Result<OwnedFd> {
    let open = || {
        openat2(
            parent,
            name,
            OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS,
        )
    };
    let opened = match open() {
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())
                .with_context(|| format!("making {} accessible", place.display()))?;
            open()
        }
        other => other,
    };
    match opened {
        Err(Errno::XDEV) => bail!("something is mounted on {}", place.display()),
        other => other.with_context(|| format!("opening {}", place.display())),
    }
}

fn empty_directory(directory: &OwnedFd, place: &mut PathBuf) -> Result<()> {
    let entries =
        Dir::read_from(directory).with_context(|| format!("listing {}", place.display()))?;
    let mut is_writable = false;
    for entry in entries {
        let entry = entry.with_context(|| format!("listing {}", place.display()))?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if !is_writable && !rustix::process::geteuid().is_root() {
            rustix::fs::fchmod(directory, Mode::RWXU)
                .with_context(|| format!("making {} writable", place.display()))?;
        }
        is_writable = true;
        place.push(bytes_as_path(name));
        let result = remove_entry(directory.as_fd(), name, place);
        place.pop();
        result?;
    }
    Ok(())
}

fn bytes_as_path(name: &CStr) -> &Path {
    use std::os::unix::ffi::OsStrExt as _;
    Path::new(std::ffi::OsStr::from_bytes(name.to_bytes()))
}

/// Unlinks, and if that is not permitted, lifts flags of the entry and its directory and tries again.
fn unlink(parent: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> rustix::io::Result<()> {
    match unlinkat(parent, name, flags) {
        Err(Errno::PERM) => {
            clear_flags(parent);
            if let Some(entry) = open_for_flags(parent, name) {
                clear_flags(entry.as_fd());
            }
            unlinkat(parent, name, flags)
        }
        other => other,
    }
}

/// Opens what can have flags: files and directories, never a device or a pipe.
fn open_for_flags(parent: BorrowedFd<'_>, name: &CStr) -> Option<OwnedFd> {
    let status = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    match FileType::from_raw_mode(status.st_mode) {
        FileType::RegularFile | FileType::Directory => openat2(
            parent,
            name,
            OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS,
        )
        .ok(),
        _ => None,
    }
}

fn clear_flags(file: BorrowedFd<'_>) {
    let Ok(flags) = ioctl_getflags(file) else {
        return;
    };
    let lifted = flags.difference(IFlags::IMMUTABLE | IFlags::APPEND);
    if lifted != flags
        && let Err(error) = ioctl_setflags(file, lifted)
    {
        // The removal that follows fails and is reported.
        tracing::debug!(%error, "clearing the immutable flag failed");
    }
}
