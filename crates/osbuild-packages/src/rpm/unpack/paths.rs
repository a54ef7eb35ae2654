//! Whether the paths of a set of packages are in each other's way.

use std::collections::{BTreeMap, HashSet};

use rustix::fs::FileType;

use super::{Contents, Directory, OwnedFile, UNOWNED_MODE};

/// The directories of a set in which nothing is in the way of another.
#[derive(Debug)]
pub(super) struct Paths {
    pub(super) directories: BTreeMap<Vec<u8>, Directory>,
}

/// Why rpm has to decide.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conflict(pub(super) String);

impl Paths {
    pub(super) fn collect(contents: &[Contents<'_>]) -> Result<Self, Conflict> {
        let files = || contents.iter().flat_map(|contents| &contents.files);
        let mut directories = BTreeMap::new();
        for file in files().filter(|file| is_directory(file)) {
            add_directory(&mut directories, file)?;
        }
        let mut others = HashSet::new();
        for file in files().filter(|file| !is_directory(file)) {
            let path = file.file.path.as_slice();
            if !others.insert(path) || directories.contains_key(path) {
                return Err(conflict(path, "is in several packages"));
            }
        }
        let brought = files().filter(|file| !file.file.is_ghost);
        for file in brought {
            add_parents(&mut directories, &file.file.path, &others)?;
        }
        Ok(Self { directories })
    }
}

fn is_directory(file: &OwnedFile) -> bool {
    FileType::from_raw_mode(file.file.mode).is_dir()
}

fn conflict(path: &[u8], what: &str) -> Conflict {
    Conflict(format!("`{}` {what}", String::from_utf8_lossy(path)))
}

fn add_directory(
    directories: &mut BTreeMap<Vec<u8>, Directory>,
    file: &OwnedFile,
) -> Result<(), Conflict> {
    if file.file.is_ghost {
        // Rare enough to be left to rpm: whether it is made depends on who else has it.
        return Err(conflict(
            &file.file.path,
            "is a directory that is not brought",
        ));
    }
    let wanted = Directory {
        mode: file.file.mode & 0o7777,
        uid: file.uid,
        gid: file.gid,
        mtime: Some(file.file.mtime),
        is_owned: true,
        has_entries: false,
    };
    let Some(known) = directories.get_mut(&file.file.path) else {
        directories.insert(file.file.path.clone(), wanted);
        return Ok(());
    };
    if known.mtime != wanted.mtime {
        known.mtime = None;
    }
    let is_same = (known.mode, known.uid, known.gid) == (wanted.mode, wanted.uid, wanted.gid);
    if is_same {
        Ok(())
    } else {
        Err(conflict(&file.file.path, "is not the same in all packages"))
    }
}

fn add_parents(
    directories: &mut BTreeMap<Vec<u8>, Directory>,
    path: &[u8],
    others: &HashSet<&[u8]>,
) -> Result<(), Conflict> {
    let mut end = path.len();
    while let Some(at) = path[..end].iter().rposition(|byte| *byte == b'/') {
        if at == 0 {
            break;
        }
        let parent = &path[..at];
        if others.contains(parent) {
            return Err(conflict(
                parent,
                "is a link or a file, and a directory elsewhere",
            ));
        }
        let known = directories.entry(parent.to_vec()).or_insert(Directory {
            mode: UNOWNED_MODE,
            uid: 0,
            gid: 0,
            mtime: None,
            is_owned: false,
            has_entries: false,
        });
        let was_known = std::mem::replace(&mut known.has_entries, true);
        if was_known {
            break;
        }
        end = at;
    }
    Ok(())
}
