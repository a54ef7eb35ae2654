//! Copies what is known about a file beside its content.

use std::cell::RefCell;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod,
    fchown, fgetxattr, flistxattr, fremovexattr, fsetxattr, futimens, lgetxattr, llistxattr,
    lsetxattr, utimensat,
};
use rustix::io::Errno;

use crate::export::Ownership;

/// The most that the kernel allows for the list of names, and for one value.
const XATTR_MAXIMUM: usize = 64 * 1024;

/// Enough for the names that files of an operating system have; clearing more for each file takes time.
const XATTR_USUAL: usize = 1024;

/// Copies to an open file or directory. In this order: a new owner takes set-id bits and capabilities away,
/// and every other change the times.
pub(super) fn copy_to_open(
    source: &OwnedFd,
    target: &OwnedFd,
    status: &Stat,
    ownership: Ownership,
) -> rustix::io::Result<()> {
    if ownership == Ownership::Preserve {
        fchown(target, Some(owner(status)), Some(group(status)))?;
    }
    fchmod(target, Mode::from_raw_mode(status.st_mode))?;
    copy_xattrs(
        |list| flistxattr(source, list),
        |name, value| fgetxattr(source, name, value),
        |name, value| fsetxattr(target, name, value, XattrFlags::empty()),
    )?;
    futimens(target, &times(status))
}

/// Copies to something that is not to be opened: a link, a device, a pipe, a socket.
pub(super) fn copy_to_named(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &CStr,
    status: &Stat,
    ownership: Ownership,
) -> rustix::io::Result<()> {
    if ownership == Ownership::Preserve {
        chownat(
            to,
            name,
            Some(owner(status)),
            Some(group(status)),
            AtFlags::SYMLINK_NOFOLLOW,
        )?;
    }
    if FileType::from_raw_mode(status.st_mode) != FileType::Symlink {
        let mode = Mode::from_raw_mode(status.st_mode);
        rustix::fs::chmodat(to, name, mode, AtFlags::empty())?;
    }
    // There are no calls for attributes that take a directory and a name.
    let (source, target) = (descriptor_path(from, name), descriptor_path(to, name));
    copy_xattrs(
        |list| llistxattr(&source, list),
        |name, value| lgetxattr(&source, name, value),
        |name, value| lsetxattr(&target, name, value, XattrFlags::empty()),
    )?;
    utimensat(to, name, &times(status), AtFlags::SYMLINK_NOFOLLOW)
}

/// Removes the extended attributes of an open directory whose names begin so.
pub(super) fn remove(directory: &OwnedFd, prefix: &[u8]) -> rustix::io::Result<()> {
    let mut names = vec![0; XATTR_MAXIMUM];
    match flistxattr(directory, &mut names) {
        Ok(length) => names.truncate(length),
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(error) => return Err(error),
    }
    for name in names.split_inclusive(|byte| *byte == 0) {
        match CStr::from_bytes_with_nul(name) {
            Ok(name) if name.to_bytes().starts_with(prefix) => fremovexattr(directory, name)?,
            _ => {}
        }
    }
    Ok(())
}

fn descriptor_path(directory: BorrowedFd<'_>, name: &CStr) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", directory.as_fd().as_raw_fd()).into_bytes();
    path.extend(name.to_bytes());
    path
}

/// Reads the extended attributes of something in a directory, without following a link.
pub(crate) fn xattrs_of(
    directory: BorrowedFd<'_>,
    name: &CStr,
) -> rustix::io::Result<Vec<(CString, Vec<u8>)>> {
    let path = descriptor_path(directory, name);
    let found = RefCell::new(Vec::new());
    copy_xattrs(
        |list| llistxattr(&path, list),
        |name, value| lgetxattr(&path, name, value),
        |name, value| {
            found.borrow_mut().push((name.to_owned(), value.to_owned()));
            Ok(())
        },
    )?;
    Ok(found.into_inner())
}

fn copy_xattrs(
    list: impl Fn(&mut Vec<u8>) -> rustix::io::Result<usize>,
    get: impl Fn(&CStr, &mut Vec<u8>) -> rustix::io::Result<usize>,
    set: impl Fn(&CStr, &[u8]) -> rustix::io::Result<()>,
) -> rustix::io::Result<()> {
    let mut names = vec![0; XATTR_USUAL];
    let mut listed = list(&mut names);
    if listed == Err(Errno::RANGE) {
        names.resize(XATTR_MAXIMUM, 0);
        listed = list(&mut names);
    }
    match listed {
        Ok(length) => names.truncate(length),
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(error) => return Err(error),
    }
    let mut value = Vec::new();
    for name in names.split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else {
            continue;
        };
        value.resize(XATTR_MAXIMUM, 0);
        let length = get(name, &mut value)?;
        match set(name, &value[..length]) {
            Ok(()) => {}
            // As `cp -a` has it: a target that can not keep the attribute still gets the file.
            Err(error @ (Errno::OPNOTSUPP | Errno::PERM)) => {
                tracing::warn!(name = %name.to_string_lossy(), %error, "an extended attribute is lost");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn owner(status: &Stat) -> Uid {
    Uid::from_raw(status.st_uid)
}

fn group(status: &Stat) -> Gid {
    Gid::from_raw(status.st_gid)
}

fn times(status: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: status.st_atime,
            tv_nsec: status.st_atime_nsec as i64,
        },
        last_modification: Timespec {
            tv_sec: status.st_mtime,
            tv_nsec: status.st_mtime_nsec as i64,
        },
    }
}
