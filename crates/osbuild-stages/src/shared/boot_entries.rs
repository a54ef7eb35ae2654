//! Boot loader entries of a tree, `loader/entries/*.conf`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use osbuild_stage_api::TreeRoot;

/// Finds the files, sorted; hidden ones are none, and neither is a missing directory.
pub(crate) fn find(tree: &TreeRoot, directory: &Path) -> Result<Vec<PathBuf>> {
    if !tree.is_dir(directory)? {
        return Ok(Vec::new());
    }
    let names = tree.read_dir(directory)?.into_iter();
    let paths = names
        .filter(|name| !name.as_encoded_bytes().starts_with(b"."))
        .map(|name| directory.join(name));
    Ok(paths
        .filter(|path| path.extension() == Some(OsStr::new("conf")))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_entries_are_found() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".c.conf", "d.txt", "conf"] {
            fs_err::write(folder.path().join(name), "").unwrap();
        }
        let tree = TreeRoot::open(folder.path()).unwrap();
        assert_eq!(
            find(&tree, "/".as_ref()).unwrap(),
            [PathBuf::from("/a.conf"), PathBuf::from("/b.conf")]
        );
        assert!(find(&tree, "/missing".as_ref()).unwrap().is_empty());
    }
}
