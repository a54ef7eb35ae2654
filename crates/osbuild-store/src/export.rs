//! Hands a finished tree out of the store.

use std::path::Path;

use anyhow::{Context as _, Result};

use rustix::io::Errno;

use crate::copy::{Blocks, CopyOptions, copy_tree};
use crate::object::Object;

/// Who owns exported files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Whoever owns them in the tree.
    Preserve,
    /// Whoever runs this program.
    Caller,
}

/// Mode, owner, times and extended attributes of the directory that a tree is exported to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Top {
    /// Those of the tree's top, as `cp -a TREE/. DIRECTORY` has it.
    OfTree,
    /// Left alone: the directory is the user's, and only what is put into it is ours.
    AsItIs,
}

/// Hands out a tree that nobody needs afterwards: like [`export`], but what can be moved is not copied.
///
/// Moving works within one file system; what lies elsewhere, meets a directory that has content, is kept in the store or
/// lies in several layers, is copied.
pub fn export_by_moving(object: &Object, directory: &Path, top: Top) -> Result<()> {
    fs_err::create_dir_all(directory)?;
    let Some(tree) = object.own_directory() else {
        return export(&object.tree(), directory, Ownership::Preserve, top);
    };
    let attributes = fs_err::metadata(tree)?;
    for entry in fs_err::read_dir(tree)? {
        let entry = entry?;
        let target = directory.join(entry.file_name());
        match rustix::fs::rename(entry.path(), &target) {
            // Left for the copy below.
            Ok(())
            | Err(Errno::XDEV | Errno::NOTEMPTY | Errno::EXIST | Errno::ISDIR | Errno::NOTDIR) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("exporting to {}", target.display()));
            }
        }
    }
    // Taking entries out has touched the tree's top, whose times the directory is to get.
    let times = std::fs::FileTimes::new()
        .set_accessed(attributes.accessed()?)
        .set_modified(attributes.modified()?);
    fs_err::File::open(tree)?
        .set_times(times)
        .with_context(|| format!("setting the times of {}", tree.display()))?;
    export(tree, directory, Ownership::Preserve, top)
}

/// Copies what is in `tree` into `directory`, which is made if missing; files of the same name are replaced.
pub fn export(tree: &Path, directory: &Path, ownership: Ownership, top: Top) -> Result<()> {
    if let Some(parent) = directory.parent() {
        fs_err::create_dir_all(parent)?;
    }
    let options = CopyOptions {
        ownership,
        blocks: Blocks::Shared,
        top,
    };
    copy_tree(tree, directory, options)
        .with_context(|| format!("exporting to {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt};

    use super::*;
    use crate::store::{Store, StoreOptions};

    #[test]
    fn a_floating_tree_is_moved_and_merged() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store"), &StoreOptions::default()).unwrap();
        let builder = store.new_tree().unwrap();
        let tree = builder.tree();
        fs_err::create_dir(tree.join("sub")).unwrap();
        fs_err::write(tree.join("sub/new"), "new").unwrap();
        fs_err::write(tree.join("file"), "from the tree").unwrap();
        let inode = fs_err::metadata(tree.join("file")).unwrap().ino();
        let out = folder.path().join("out");
        fs_err::create_dir_all(out.join("sub")).unwrap();
        fs_err::write(out.join("sub/old"), "old").unwrap();
        fs_err::write(out.join("file"), "old").unwrap();
        let permissions = PermissionsExt::from_mode(0o1757);
        fs_err::set_permissions(&out, permissions).unwrap();
        let object = builder.keep_floating("a").unwrap();
        export_by_moving(&object, &out, Top::AsItIs).unwrap();
        assert_eq!(fs_err::metadata(&out).unwrap().mode() & 0o7777, 0o1757);
        assert_eq!(fs_err::metadata(out.join("file")).unwrap().ino(), inode);
        assert_eq!(
            fs_err::read_to_string(out.join("file")).unwrap(),
            "from the tree"
        );
        assert_eq!(fs_err::read_to_string(out.join("sub/old")).unwrap(), "old");
        assert_eq!(fs_err::read_to_string(out.join("sub/new")).unwrap(), "new");
    }
}
