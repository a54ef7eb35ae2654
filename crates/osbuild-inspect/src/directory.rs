//! Reads a directory.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use fs_err::os::unix::fs::OpenOptionsExt as _;
use rayon::prelude::*;
use rustix::io::Errno;

use crate::tree::{Entry, S_IFBLK, S_IFCHR, Tree, read_content};

/// The most that the kernel allows for the names of a file's attributes, and for one value.
const ATTRIBUTES_MAXIMUM: usize = 64 * 1024;

/// Reads every entry below `root`, and `root` itself. What can not be read counts as what is known of it: without
/// root, a tree has files that only root reads.
///
/// # Errors
/// `root` is no directory that can be listed.
pub(crate) fn read(root: &Path) -> Result<Tree> {
    let mut paths = Vec::new();
    fs_err::read_dir(root)?;
    list(root, Path::new(""), &mut paths);
    let read: Vec<_> = paths
        .into_par_iter()
        .map(|path| {
            let entry = read_entry(root, &path);
            (path, entry)
        })
        .collect();
    let mut tree = Tree::default();
    for (path, entry) in read {
        let (entry, content) =
            entry.with_context(|| format!("reading {}", root.join(&path).display()))?;
        if let Some(content) = content {
            tree.contents.insert(path.clone(), content);
        }
        tree.entries.insert(path, entry);
    }
    Ok(tree)
}

fn list(root: &Path, directory: &Path, paths: &mut Vec<PathBuf>) {
    paths.push(directory.to_owned());
    let entries = match fs_err::read_dir(root.join(directory)) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::debug!("a directory is passed over: {error}");
            return;
        }
    };
    for entry in entries.flatten() {
        let path = directory.join(entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list(root, &path, paths);
        } else {
            paths.push(path);
        }
    }
}

fn read_entry(root: &Path, path: &Path) -> Result<(Entry, Option<Vec<u8>>)> {
    let file = root.join(path);
    let metadata = fs_err::symlink_metadata(&file)?;
    let mut entry = Entry {
        mode: metadata.mode(),
        uid: metadata.uid(),
        gid: metadata.gid(),
        size: metadata.len(),
        attributes: attributes(&file),
        ..Entry::default()
    };
    let mut kept = None;
    if metadata.is_symlink() {
        entry.target = Some(fs_err::read_link(&file)?);
    } else if matches!(entry.kind(), S_IFCHR | S_IFBLK) {
        let device = metadata.rdev();
        entry.device = Some((rustix::fs::major(device), rustix::fs::minor(device)));
    } else if metadata.is_file() {
        // A pipe put in the file's place meanwhile must not be waited for.
        let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits();
        let opened = fs_err::OpenOptions::new()
            .read(true)
            .custom_flags(flags.cast_signed())
            .open(&file);
        match opened
            .map_err(anyhow::Error::from)
            .and_then(|reader| read_content(path, entry.size, reader))
        {
            Ok((digest, content)) => {
                entry.digest = Some(digest);
                kept = content;
            }
            Err(error) => tracing::debug!("a file is passed over: {error:#}"),
        }
    }
    Ok((entry, kept))
}

fn attributes(file: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; ATTRIBUTES_MAXIMUM];
    let length = match rustix::fs::llistxattr(file, &mut names) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(error) => {
            tracing::debug!("listing the attributes of {}: {error}", file.display());
            0
        }
    };
    let names = names[..length]
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty());
    let mut value = vec![0; if length == 0 { 0 } else { ATTRIBUTES_MAXIMUM }];
    names
        .filter_map(|name| {
            let length = rustix::fs::lgetxattr(file, name, &mut value).ok()?;
            Some((name.to_vec(), value[..length].to_vec()))
        })
        .collect()
}
