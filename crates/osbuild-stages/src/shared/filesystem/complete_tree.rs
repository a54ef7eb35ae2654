//! A tree with the directories that file systems are mounted on, where it lacks some.
//!
//! The tree is an input and must not be changed, and `mkfs` takes nothing but what is there. So the missing directories
//! are laid under it, in the sandbox's own mount namespace.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use osbuild_sandbox::mount::MountGuard;
use osbuild_stage_api::TreeRoot;
use rustix::mount::MountFlags;

/// A view of a tree; gone when this is dropped.
#[derive(Debug)]
pub(crate) struct CompleteTree {
    path: PathBuf,
    // In this order: what is mounted, then the directory it is mounted in.
    _mount: Option<MountGuard>,
    _directory: Option<tempfile::TempDir>,
}

impl CompleteTree {
    /// Adds the mount points that the tree lacks.
    pub(crate) fn new(tree: &Path, mountpoints: &[&str]) -> Result<Self> {
        let root = TreeRoot::open(tree)?;
        let mut missing = Vec::new();
        for mountpoint in mountpoints {
            if !root.has_entry(mountpoint)? {
                missing.push(*mountpoint);
            }
        }
        if missing.is_empty() {
            return Ok(Self {
                path: tree.to_owned(),
                _mount: None,
                _directory: None,
            });
        }
        Self::overlaid(tree, &missing)
            .with_context(|| format!("adding the mount points {}", missing.join(", ")))
    }

    fn overlaid(tree: &Path, missing: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let (added, view) = (
            directory.path().join("added"),
            directory.path().join("view"),
        );
        fs_err::create_dir(&added)?;
        fs_err::create_dir(&view)?;
        let root = TreeRoot::open(&added)?;
        for mountpoint in missing {
            root.create_dir_all(mountpoint)?;
        }
        let mut data = OsString::from("lowerdir=");
        for (index, lower) in [tree, &added].into_iter().enumerate() {
            let bytes = lower.as_os_str().as_encoded_bytes();
            ensure!(
                !bytes.iter().any(|byte| b":,\\".contains(byte)),
                "{} can not be a layer: its name has special characters",
                lower.display()
            );
            data.push(if index == 0 { "" } else { ":" });
            data.push(lower);
        }
        let data = std::ffi::CString::new(data.into_encoded_bytes())?;
        let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID;
        rustix::mount::mount("none", &view, "overlay", flags, Some(data.as_c_str()))
            .context("mounting an overlay")?;
        Ok(Self {
            _mount: Some(MountGuard::adopt(&view)),
            path: view,
            _directory: Some(directory),
        })
    }

    /// Returns where the whole of it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_testing::needs;
    use osbuild_testing::tree::describe;

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        fs_err::create_dir(tree.path().join("boot")).unwrap();
        fs_err::write(tree.path().join("boot/vmlinuz"), "kernel").unwrap();
        tree
    }

    #[test]
    fn a_tree_that_lacks_nothing_is_taken_as_it_is() {
        let tree = tree();
        let complete = CompleteTree::new(tree.path(), &["/", "/boot"]).unwrap();
        assert_eq!(complete.path(), tree.path());
    }

    #[test]
    fn missing_mount_points_are_seen_and_the_tree_is_not_changed() {
        needs![root];
        let tree = tree();
        let before = describe(tree.path()).unwrap();
        let complete = CompleteTree::new(tree.path(), &["/", "/boot/efi", "/srv/a"]).unwrap();
        assert_eq!(
            describe(complete.path()).unwrap(),
            "boot/ 0755\nboot/efi/ 0755\nboot/vmlinuz 0644 \"kernel\"\nsrv/ 0755\nsrv/a/ 0755\n"
        );
        let view = complete.path().to_owned();
        drop(complete);
        assert!(!view.exists());
        assert_eq!(describe(tree.path()).unwrap(), before);
    }
}
