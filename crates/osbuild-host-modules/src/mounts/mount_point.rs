//! Mount points below a directory that links in mounted file systems cannot lead out of.

use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat2};
use rustix::io::Errno;

/// A directory to mount on.
pub(super) struct MountPoint {
    /// The open directory.
    pub(super) directory: OwnedFd,
    /// Where it is, all links resolved.
    pub(super) path: PathBuf,
}

impl MountPoint {
    /// Makes the directory and all above it, below `root`.
    pub(super) fn make(root: &Path, target: &str) -> Result<Self> {
        let root_directory = fs_err::File::open(root)?;
        let mut directory = open(root_directory.as_fd(), Path::new("."))
            .with_context(|| format!("opening {}", root.display()))?;
        let mut path = PathBuf::new();
        for component in Path::new(target).components() {
            match component {
                Component::Normal(name) => path.push(name),
                Component::RootDir | Component::CurDir => continue,
                Component::ParentDir | Component::Prefix(_) => {
                    bail!("the mount target `{target}` leads upwards")
                }
            }
            directory = enter(root_directory.as_fd(), directory.as_fd(), &path)
                .with_context(|| format!("making the mount point `{target}`"))?;
        }
        Self::of(directory)
    }

    /// Finds a directory below `root`, which must be there.
    pub(super) fn find(root: &Path, target: &str) -> Result<Self> {
        let root = fs_err::File::open(root)?;
        let target = target.trim_matches('/');
        let path = if target.is_empty() { "." } else { target };
        Self::of(open(root.as_fd(), Path::new(path))?)
    }

    fn of(directory: OwnedFd) -> Result<Self> {
        let link = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let path = fs_err::read_link(link)?;
        Ok(Self { directory, path })
    }
}

/// Opens a directory below the root, and makes it first if it is missing.
fn enter(root: impl AsFd, parent: impl AsFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    match open(root.as_fd(), path) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let name = path.file_name().unwrap_or_default();
    let mode = Mode::from_raw_mode(0o755);
    match mkdirat(parent, name, mode) {
        Ok(()) | Err(Errno::EXIST) => open(root, path),
        Err(error) => Err(error),
    }
}

fn open(root: impl AsFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    openat2(
        root,
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_made_and_links_stay_inside() {
        let root = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(root.path()).unwrap();
        fs_err::create_dir(root.join("real")).unwrap();
        fs_err::os::unix::fs::symlink("/real", root.join("link")).unwrap();
        let make = |target: &str| MountPoint::make(&root, target).map(|point| point.path);
        assert_eq!(make("/").unwrap(), root);
        assert_eq!(make("").unwrap(), root);
        assert_eq!(make("/boot/efi/").unwrap(), root.join("boot/efi"));
        assert_eq!(make("link/x").unwrap(), root.join("real/x"));
        assert_eq!(
            make("/a/../../x").unwrap_err().to_string(),
            "the mount target `/a/../../x` leads upwards"
        );
    }

    #[test]
    fn what_is_found_is_inside_and_nothing_is_made() {
        let root = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(root.path()).unwrap();
        fs_err::create_dir(root.join("real")).unwrap();
        fs_err::os::unix::fs::symlink("/real", root.join("link")).unwrap();
        let find = |target: &str| MountPoint::find(&root, target).map(|point| point.path);
        assert_eq!(find("").unwrap(), root);
        assert_eq!(find("/real/").unwrap(), root.join("real"));
        assert_eq!(find("link").unwrap(), root.join("real"));
        // The root is where going upwards ends.
        assert_eq!(find("../../real").unwrap(), root.join("real"));
        find("missing").unwrap_err();
        assert!(!root.join("missing").exists());
    }
}
