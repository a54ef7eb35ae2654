//! Removing a directory of a tree with everything in it.

use std::path::Path;

use anyhow::Result;
use osbuild_stage_api::TreeRoot;
use rustix::fs::FileType;

/// Removes a directory, if the path is one: a link in its place stays, and so does what it leads to.
pub(crate) fn remove_if_directory(tree: &TreeRoot, path: &Path) -> Result<()> {
    if !tree.has_entry(path)? || !is_real_directory(tree, path)? {
        return Ok(());
    }
    for name in tree.read_dir(path)? {
        let entry = path.join(name);
        if is_real_directory(tree, &entry)? {
            remove_if_directory(tree, &entry)?;
        } else {
            tree.remove_file(&entry)?;
        }
    }
    tree.remove_dir(path)
}

fn is_real_directory(tree: &TreeRoot, path: &Path) -> Result<bool> {
    Ok(FileType::from_raw_mode(tree.lstat(path)?.st_mode).is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_removed_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(folder.path().join("a/b")).unwrap();
        fs_err::create_dir(folder.path().join("c")).unwrap();
        fs_err::write(folder.path().join("c/kept"), "").unwrap();
        for link in ["a/b/link", "d"] {
            fs_err::os::unix::fs::symlink("/c", folder.path().join(link)).unwrap();
        }
        let tree = TreeRoot::open(folder.path()).unwrap();
        for path in ["a", "d", "missing"] {
            remove_if_directory(&tree, path.as_ref()).unwrap();
        }
        assert_eq!(tree.read_dir("/").unwrap(), ["c", "d"]);
        assert!(tree.exists("c/kept").unwrap());
    }
}
