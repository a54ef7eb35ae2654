//! A file tree as text: one line per entry, so that a whole tree can be asserted or compared.

use std::fmt::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// File contents up to this long, if printable, are shown; longer ones only as a digest.
const SHOWN_CONTENT_MAX: usize = 4096;

/// Describes every entry below `root`, sorted: path, type, mode, owner if not the caller's, and contents.
///
/// ```text
/// etc/            0755
/// etc/hostname    0644 "debian\n"
/// etc/localtime   -> ../usr/share/zoneinfo/UTC
/// ```
pub fn describe(root: &Path) -> Result<String> {
    let mut text = String::new();
    describe_directory(root, Path::new(""), &mut text)?;
    Ok(text)
}

fn describe_directory(root: &Path, relative: &Path, text: &mut String) -> Result<()> {
    let directory = root.join(relative);
    let mut names = fs_err::read_dir(&directory)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("reading {}", directory.display()))?;
    names.sort();
    for name in names {
        let path = relative.join(name);
        let is_directory = describe_entry(&root.join(&path), &path, text)?;
        if is_directory {
            describe_directory(root, &path, text)?;
        }
    }
    Ok(())
}

fn describe_entry(file: &Path, path: &Path, text: &mut String) -> Result<bool> {
    let meta = fs_err::symlink_metadata(file)?;
    let kind = meta.file_type();
    let mode = meta.mode() & 0o7777;
    if kind.is_symlink() {
        writeln!(
            text,
            "{} -> {}{}",
            path.display(),
            fs_err::read_link(file)?.display(),
            owner(&meta)
        )?;
    } else if kind.is_dir() {
        writeln!(text, "{}/ {mode:04o}{}", path.display(), owner(&meta))?;
    } else if kind.is_file() {
        let content = content(file)?;
        writeln!(
            text,
            "{} {mode:04o}{} {content}",
            path.display(),
            owner(&meta)
        )?;
    } else {
        let letter = if kind.is_fifo() {
            "fifo"
        } else if kind.is_socket() {
            "socket"
        } else if kind.is_char_device() {
            "character device"
        } else {
            "block device"
        };
        writeln!(
            text,
            "{} {mode:04o}{} {letter} {:#x}",
            path.display(),
            owner(&meta),
            meta.rdev()
        )?;
    }
    Ok(kind.is_dir())
}

fn owner(meta: &std::fs::Metadata) -> String {
    let is_own = meta.uid() == rustix::process::geteuid().as_raw()
        && meta.gid() == rustix::process::getegid().as_raw();
    if is_own {
        String::new()
    } else {
        format!(" {}:{}", meta.uid(), meta.gid())
    }
}

fn content(file: &Path) -> Result<String> {
    let bytes = fs_err::read(file)?;
    if bytes.len() <= SHOWN_CONTENT_MAX
        && let Ok(text) = std::str::from_utf8(&bytes)
    {
        return Ok(format!("{text:?}"));
    }
    let digest = Sha256::digest(&bytes);
    let hex = digest.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a string does not fail");
        hex
    });
    Ok(format!("{} bytes sha256:{hex}", bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_tree_is_described_line_by_line() {
        let root = tempfile::tempdir().unwrap();
        let etc = root.path().join("etc");
        fs_err::create_dir(&etc).unwrap();
        fs_err::write(etc.join("b"), "text\n").unwrap();
        fs_err::write(etc.join("c"), [0xff, 0xfe]).unwrap();
        symlink("b", etc.join("a")).unwrap();
        fs_err::set_permissions(&etc, PermissionsExt::from_mode(0o750)).unwrap();
        fs_err::set_permissions(etc.join("b"), PermissionsExt::from_mode(0o4711)).unwrap();
        fs_err::set_permissions(etc.join("c"), PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(
            describe(root.path()).unwrap(),
            "etc/ 0750\n\
             etc/a -> b\n\
             etc/b 4711 \"text\\n\"\n\
             etc/c 0600 2 bytes sha256:b3d510ef04275ca8e698e5b3cbb0ece3949ef9252f0cdc839e9ee347409a2209\n"
        );
    }
}
