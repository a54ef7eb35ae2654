//! Keeps the names of one file together when a view of layers ends.
//!
//! While a view is mounted, the kernel's index holds a file with several names together that is changed through one of
//! them. It goes with the view: the other names would show the old file of the layer below again. So each gets into the
//! layer on top as well, which the kernel does when a name is touched.

use std::collections::{HashMap, HashSet};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use fs_err as fs;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Timespec, Timestamps, openat, statat, utimensat,
};
use rustix::io::Errno;

use crate::walk::walk;

/// Puts every name of the files in `index` into `upper`. `lower` are the layers below, `view` is all of it mounted.
pub(crate) fn complete(index: &Path, upper: &Path, lower: &[PathBuf], view: &Path) -> Result<()> {
    let is_empty = match fs::read_dir(index) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(error.into()),
    };
    if is_empty {
        return Ok(());
    }
    let changed = numbers_of_changed(upper, view)?;
    let below = links_below(lower)?;
    let names = walk::<Vec<PathBuf>>(view, &|names, entry| {
        if entry.file_type() == FileType::Directory {
            return Ok(());
        }
        let number = entry.status.st_ino;
        let links = below.get(&number);
        // In the index, or a name of it was removed.
        let is_torn =
            changed.contains(&number) || links.is_some_and(|&links| links != entry.status.st_nlink);
        if links.is_some() && is_torn {
            names.push(entry.path());
        }
        Ok(())
    })?;
    let top = openat(
        CWD,
        view,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    for name in names.into_iter().flatten() {
        let status = statat(&top, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        utimensat(
            top.as_fd(),
            &name,
            &times(&status),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .with_context(|| format!("touching {}", name.display()))?;
    }
    Ok(())
}

/// Gives the inode numbers, in the view, of files with several names that are in the layer on top.
fn numbers_of_changed(upper: &Path, view: &Path) -> Result<HashSet<u64>> {
    let top = openat(
        CWD,
        view,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let numbers = walk::<HashSet<u64>>(upper, &|numbers, entry| {
        if entry.file_type() == FileType::Directory || entry.status.st_nlink < 2 {
            return Ok(());
        }
        match statat(&top, entry.path(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => {
                numbers.insert(status.st_ino);
                Ok(())
            }
            // A whiteout; the kernel links all of them to one file.
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error).context("looking at a changed file"),
        }
    })?;
    Ok(numbers.into_iter().flatten().collect())
}

/// Gives the files with several names of the layers below: inode number and count of names.
fn links_below(lower: &[PathBuf]) -> Result<HashMap<u64, u64>> {
    let mut links = HashMap::new();
    for layer in lower {
        let found = walk::<Vec<(u64, u64)>>(layer, &|found, entry| {
            if entry.file_type() != FileType::Directory && entry.status.st_nlink > 1 {
                found.push((entry.status.st_ino, entry.status.st_nlink));
            }
            Ok(())
        })?;
        links.extend(found.into_iter().flatten());
    }
    Ok(links)
}

fn times(status: &rustix::fs::Stat) -> Timestamps {
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
