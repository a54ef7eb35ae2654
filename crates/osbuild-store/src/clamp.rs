//! Makes what a build wrote as old as its source epoch says.

use std::ffi::CStr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Timespec, Timestamps, openat, statat, utimensat,
};
use rustix::io::Errno;

/// Sets the times of everything in `tree` that changed at or after `created` to `epoch`, both in seconds.
///
/// What is immutable stays as it is.
pub(crate) fn clamp_times(tree: &Path, created: i64, epoch: i64) -> Result<()> {
    let name = std::ffi::CString::new(tree.as_os_str().as_encoded_bytes())
        .with_context(|| format!("{} holds a zero byte", tree.display()))?;
    let moment = Timespec {
        tv_sec: epoch,
        tv_nsec: 0,
    };
    let clamp = Clamp {
        created,
        times: Timestamps {
            last_access: moment,
            last_modification: moment,
        },
    };
    clamp
        .visit(CWD, &name)
        .with_context(|| format!("setting times in {}", tree.display()))
}

struct Clamp {
    created: i64,
    times: Timestamps,
}

impl Clamp {
    fn visit(&self, parent: BorrowedFd<'_>, name: &CStr) -> Result<()> {
        let status = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
            .with_context(|| format!("looking at {}", name.to_string_lossy()))?;
        // Its content first: nothing in here changes a directory's own time, but the order must not matter.
        if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let directory = openat(parent, name, flags, Mode::empty())
                .with_context(|| format!("opening {}", name.to_string_lossy()))?;
            for entry in Dir::read_from(&directory)? {
                let entry = entry?;
                if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                    self.visit(directory.as_fd(), entry.file_name())?;
                }
            }
        }
        if status.st_mtime < self.created {
            return Ok(());
        }
        match utimensat(parent, name, &self.times, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(()) | Err(Errno::PERM) => Ok(()),
            Err(error) => {
                Err(error).with_context(|| format!("setting times of {}", name.to_string_lossy()))
            }
        }
    }
}
