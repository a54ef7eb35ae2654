//! Removes trees, and nothing but trees.
//!
//! Directories are emptied by several threads; whoever takes the last thing out of one removes it, too.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, IFlags, Mode, OFlags, ResolveFlags, ioctl_getflags,
    ioctl_setflags, openat, openat2, renameat, unlinkat,
};
use rustix::io::Errno;

use crate::parallel::in_parallel;

/// Directories further down than this are moved up, to be emptied when all else is gone: each of those above is open
/// meanwhile, and a process can have a thousand files open, while a tree can be deeper than that.
const DEEPEST: usize = 100;

/// Removes a file or a whole directory; it is no error if there is none.
///
/// Several processes may remove the same tree: what one finds gone already is done. Never goes into a mount: upstream
/// osbuild once left the host's `/usr` bind-mounted in its store, for `rm -rf` to find. Immutable flags and permissions
/// that are in the way are lifted.
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
    let name = CString::new(name.as_encoded_bytes())
        .with_context(|| format!("{} holds a zero byte", path.display()))?;
    if remove_file(parent.as_fd(), &name, path)? == Found::Nothing {
        return Ok(());
    }
    let top = Directory::new(Above::Outside(parent), name, path.to_owned());
    let mut next = vec![top];
    while !next.is_empty() {
        let moved = in_parallel(next, &|moved, directory: Arc<Directory>| {
            directory.empty(moved)
        })?;
        next = moved.into_iter().flatten().collect();
    }
    Ok(())
}

/// What an entry was, as far as it is left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// No directory; it is gone.
    Nothing,
    /// A directory, which is still there.
    Directory,
}

/// Removes one entry of a directory unless it is a directory itself; `place` is its path, for errors.
fn remove_file(parent: BorrowedFd<'_>, name: &CStr, place: &Path) -> Result<Found> {
    match unlink(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(Found::Nothing),
        Err(Errno::ISDIR) => Ok(Found::Directory),
        Err(Errno::BUSY) => bail!("something is mounted on {}", place.display()),
        Err(error) => Err(error).with_context(|| format!("removing {}", place.display())),
    }
}

/// A directory that is to go.
struct Directory {
    above: Above,
    name: CString,
    /// Its path, for errors.
    place: PathBuf,
    /// Itself, from when it is emptied until nothing below is left.
    open: OnceLock<OwnedFd>,
    /// Directories in it that are not gone.
    left: AtomicUsize,
    /// Directories above it that are to go.
    depth: usize,
}

/// Where a directory is.
enum Above {
    /// In one that stays.
    Outside(OwnedFd),
    /// In another one that is to go.
    Inside(Arc<Directory>),
}

impl Directory {
    fn new(above: Above, name: CString, place: PathBuf) -> Arc<Self> {
        let depth = match &above {
            Above::Outside(_) => 0,
            Above::Inside(parent) => parent.depth + 1,
        };
        Arc::new(Self {
            depth,
            above,
            name,
            place,
            open: OnceLock::new(),
            left: AtomicUsize::new(0),
        })
    }

    fn parent(&self) -> BorrowedFd<'_> {
        match &self.above {
            Above::Outside(parent) => parent.as_fd(),
            Above::Inside(parent) => {
                let open = parent.open.get();
                open.expect("it was opened to find this one").as_fd()
            }
        }
    }

    /// Removes all files in it, and the directory if that was all; gives the directories in it, but for those that had to
    /// be moved to the top.
    fn empty(self: Arc<Self>, moved: &mut Vec<Arc<Self>>) -> Result<Vec<Arc<Self>>> {
        let Some(opened) = open_directory(self.parent(), &self.name, &self.place)? else {
            self.remove()?;
            return Ok(Vec::new());
        };
        let directory = self.open.get_or_init(|| opened);
        let listing = || format!("listing {}", self.place.display());
        let mut inside = Vec::new();
        let mut is_writable = rustix::process::geteuid().is_root();
        let entries = match Dir::read_from(directory) {
            Err(Errno::NOENT) => None,
            other => Some(other.with_context(listing)?),
        };
        for entry in entries.into_iter().flatten() {
            let entry = match entry {
                // How the kernel ends the list of a directory that someone else has removed.
                Err(Errno::NOENT) => break,
                other => other.with_context(listing)?,
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if !is_writable {
                rustix::fs::fchmod(directory, Mode::RWXU)
                    .with_context(|| format!("making {} writable", self.place.display()))?;
            }
            is_writable = true;
            let place = self.place.join(bytes_as_path(name));
            if remove_file(directory.as_fd(), name, &place)? == Found::Directory {
                match self.move_up(directory.as_fd(), name, &place) {
                    Some(directory) => moved.push(directory),
                    None => {
                        let above = Above::Inside(Arc::clone(&self));
                        inside.push(Self::new(above, name.to_owned(), place));
                    }
                }
            }
        }
        // Nobody looks at this before the directories inside are handed on.
        self.left.store(inside.len(), Ordering::Release);
        if inside.is_empty() {
            self.remove()?;
        }
        Ok(inside)
    }

    /// Moves a directory in this one to the top, if this one is far from there.
    fn move_up(&self, directory: BorrowedFd<'_>, name: &CStr, place: &Path) -> Option<Arc<Self>> {
        static MOVED: AtomicUsize = AtomicUsize::new(0);
        if self.depth < DEEPEST {
            return None;
        }
        let top = self.top()?;
        let number = MOVED.fetch_add(1, Ordering::Relaxed);
        let new = CString::new(format!(".moved-up-{}-{number}", std::process::id())).ok()?;
        let opened = top.open.get()?;
        if let Err(error) = renameat(directory, name, opened, &new) {
            // It is emptied where it is, and if that cannot be, the error says why.
            tracing::debug!(%error, place = %place.display(), "moving a deep directory up failed");
            return None;
        }
        // The top cannot go before this is counted: the directory that it was found in is still below it.
        top.left.fetch_add(1, Ordering::AcqRel);
        Some(Self::new(Above::Inside(top), new, place.to_owned()))
    }

    /// The directory above this one that is not in another that is to go.
    fn top(&self) -> Option<Arc<Self>> {
        let Above::Inside(parent) = &self.above else {
            return None;
        };
        let mut top = parent;
        while let Above::Inside(next) = &top.above {
            top = next;
        }
        Some(Arc::clone(top))
    }

    /// Removes the directory, which is empty, and those above for which it was the last.
    fn remove(&self) -> Result<()> {
        let mut directory = self;
        loop {
            match unlink(directory.parent(), &directory.name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => {
                    let place = directory.place.display();
                    return Err(error).with_context(|| format!("removing {place}"));
                }
            }
            let Above::Inside(above) = &directory.above else {
                return Ok(());
            };
            if above.left.fetch_sub(1, Ordering::AcqRel) > 1 {
                return Ok(());
            }
            directory = above;
        }
    }
}

/// Opens a directory to empty it, unless it is on another mount than its parent; `None` if it is gone.
fn open_directory(parent: BorrowedFd<'_>, name: &CStr, place: &Path) -> Result<Option<OwnedFd>> {
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
            match rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty()) {
                Ok(()) => open(),
                Err(Errno::NOENT) => Err(Errno::NOENT),
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("making {} accessible", place.display()));
                }
            }
        }
        other => other,
    };
    match opened {
        Err(Errno::XDEV) => bail!("something is mounted on {}", place.display()),
        Err(Errno::NOENT) => Ok(None),
        other => other
            .map(Some)
            .with_context(|| format!("opening {}", place.display())),
    }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn wide_deep_and_closed_trees_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        for number in 0..300 {
            let directory = tree.join(format!("{}/{number}/empty", number % 7));
            fs_err::create_dir_all(&directory).unwrap();
            fs_err::write(tree.join(format!("{}/{number}/file", number % 7)), "x").unwrap();
        }
        let deep: PathBuf = std::iter::repeat_n("d", 300).collect();
        fs_err::create_dir_all(tree.join(&deep)).unwrap();
        std::os::unix::fs::symlink("/", tree.join("d/link")).unwrap();
        let closed = tree.join("closed");
        fs_err::create_dir_all(closed.join("sub")).unwrap();
        fs_err::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        remove_tree(&tree).unwrap();
    }

    #[test]
    fn a_tree_deeper_than_files_can_be_open_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs_err::create_dir(&tree).unwrap();
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut directory = openat(CWD, &tree, flags, Mode::empty()).unwrap();
        for _ in 0..5000 {
            rustix::fs::mkdirat(&directory, "side", Mode::RWXU).unwrap();
            rustix::fs::mkdirat(&directory, "d", Mode::RWXU).unwrap();
            directory = openat(&directory, "d", flags, Mode::empty()).unwrap();
        }
        drop(directory);
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }

    #[test]
    fn a_tree_can_be_removed_by_several_at_once() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let tree = folder.path().join(format!("tree-{round}"));
            for number in 0..60 {
                let directory = tree.join(format!("{}/{number}/empty", number % 7));
                fs_err::create_dir_all(&directory).unwrap();
                fs_err::write(directory.join("file"), "x").unwrap();
            }
            let together = std::sync::Barrier::new(4);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        together.wait();
                        remove_tree(&tree).unwrap();
                    });
                }
            });
            assert!(!tree.exists());
        }
    }
}
