//! Copies the content of one file in the cheapest way that its file system offers.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{SeekFrom, Stat, copy_file_range, ftruncate, ioctl_ficlone, seek};
use rustix::io::Errno;

/// The unit of `st_blocks`, whatever the file system's own block size.
const STAT_BLOCK: u64 = 512;
/// The piece to copy by hand where the kernel does not copy; large enough to keep a disk busy.
const BUFFER: usize = 128 * 1024;

/// Copies what is in `source` to the new and empty `target`.
///
/// `can_share_blocks` is cleared when the file system turns out not to be able to.
pub(super) fn copy(
    source: &OwnedFd,
    target: &OwnedFd,
    status: &Stat,
    can_share_blocks: &AtomicBool,
) -> rustix::io::Result<()> {
    let size = status.st_size as u64;
    if size == 0 {
        return Ok(());
    }
    if can_share_blocks.load(Ordering::Relaxed) {
        match ioctl_ficlone(target, source) {
            Ok(()) => return Ok(()),
            Err(Errno::OPNOTSUPP | Errno::XDEV | Errno::NOTTY | Errno::NOSYS) => {
                can_share_blocks.store(false, Ordering::Relaxed);
            }
            // This file only, a swap file for one.
            Err(Errno::INVAL | Errno::TXTBSY | Errno::PERM) => {}
            Err(error) => return Err(error),
        }
    }
    if (status.st_blocks as u64) * STAT_BLOCK < size {
        copy_data_between_holes(source, target, size)
    } else {
        copy_range(source, target, 0, size)
    }
}

fn copy_data_between_holes(
    source: &OwnedFd,
    target: &OwnedFd,
    size: u64,
) -> rustix::io::Result<()> {
    let mut position = 0;
    while position < size {
        let start = match seek(source, SeekFrom::Data(position)) {
            Ok(start) => start,
            // There is nothing but hole from here on.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error),
        };
        let end = seek(source, SeekFrom::Hole(start))?;
        copy_range(source, target, start, end.min(size))?;
        position = end;
    }
    ftruncate(target, size)
}

fn copy_range(source: &OwnedFd, target: &OwnedFd, start: u64, end: u64) -> rustix::io::Result<()> {
    let (mut from, mut to) = (start, start);
    while from < end {
        let wanted = usize::try_from(end - from).unwrap_or(usize::MAX);
        match copy_file_range(source, Some(&mut from), target, Some(&mut to), wanted) {
            // Shorter than it was a moment ago.
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::NOSYS | Errno::XDEV | Errno::OPNOTSUPP | Errno::INVAL) => {
                return copy_by_hand(source, target, from, end);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn copy_by_hand(
    source: &OwnedFd,
    target: &OwnedFd,
    mut position: u64,
    end: u64,
) -> rustix::io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    while position < end {
        let wanted = buffer
            .len()
            .min(usize::try_from(end - position).unwrap_or(usize::MAX));
        let read = rustix::io::pread(source, &mut buffer[..wanted], position)?;
        if read == 0 {
            return Ok(());
        }
        let mut written = 0;
        while written < read {
            written +=
                rustix::io::pwrite(target, &buffer[written..read], position + written as u64)?;
        }
        position += read as u64;
    }
    Ok(())
}
