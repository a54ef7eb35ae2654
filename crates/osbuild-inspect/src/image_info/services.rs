//! States of units, by systemctl(1) of the host: it tells them of a directory, so it gets one with units alone.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Component, Path};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use fs_err::os::unix::fs::symlink;

use super::links::resolve;
use crate::tree::Tree;

/// Where units are, in the order of precedence (systemd.unit(5)); what runs as a system has more.
const PLACES: [&str; 4] = [
    "etc/systemd/system.control",
    "etc/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
];

/// Tells whether a path is that of a unit, or of something that configures one.
pub(super) fn is_read(path: &Path) -> bool {
    PLACES.iter().any(|place| path.starts_with(place))
}

/// Units and their states, as `list-unit-files` names both; none if the tree has no units.
///
/// # Errors
/// `systemctl` is missing, or fails.
pub(super) fn states(tree: &Tree) -> Result<Vec<(String, String)>> {
    let place = tempfile::tempdir()?;
    if !write_units(tree, place.path())? {
        return Ok(Vec::new());
    }
    let result = Command::new("systemctl")
        .arg("--root")
        .arg(place.path())
        .args(["--no-legend", "--no-pager", "list-unit-files"])
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .context("starting systemctl, which knows the states of units (package systemd)")?;
    if !result.status.success() {
        let told = String::from_utf8_lossy(&result.stderr);
        bail!("systemctl list-unit-files: {}", told.trim());
    }
    let listed = String::from_utf8_lossy(&result.stdout);
    let words = listed.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    });
    Ok(words.collect())
}

/// Gives the units of a state, and their aliases, which systemd tells apart since version 246.
pub(super) fn in_state(tree: &Tree, states: &[(String, String)], wanted: &str) -> Vec<String> {
    let of_state = |wanted: &str| -> BTreeSet<&str> {
        let units = states.iter().filter(|(_, state)| state == wanted);
        units.map(|(unit, _)| unit.as_str()).collect()
    };
    let mut units = of_state(wanted);
    for alias in of_state("alias") {
        for place in PLACES {
            let target = resolve(tree, &Path::new(place).join(alias));
            let name = target.as_deref().and_then(Path::file_name);
            if name
                .and_then(OsStr::to_str)
                .is_some_and(|name| units.contains(name))
            {
                units.insert(alias);
            }
        }
    }
    units.into_iter().map(str::to_owned).collect()
}

/// Tells whether something can be written at a path: an archive may claim entries below a link, which would lead out,
/// or below a file.
fn is_inside(tree: &Tree, path: &Path) -> bool {
    let is_plain = path
        .components()
        .all(|component| matches!(component, Component::Normal(_)));
    let is_file = |path: &Path| {
        tree.entries
            .get(path)
            .is_some_and(|entry| !entry.is_directory())
    };
    is_plain && !path.ancestors().skip(1).any(is_file)
}

/// Writes files, links and directories of units; tells whether there were any.
fn write_units(tree: &Tree, place: &Path) -> Result<bool> {
    let mut has_units = false;
    let entries = tree.entries.iter();
    for (path, entry) in entries.filter(|(path, _)| is_read(path) && is_inside(tree, path)) {
        let target = place.join(path);
        if let Some(parent) = target.parent() {
            fs_err::create_dir_all(parent)?;
        }
        if entry.is_directory() {
            fs_err::create_dir_all(&target)?;
        } else if let Some(link) = &entry.target {
            symlink(link, &target)?;
            has_units = true;
        } else if let Some(content) = tree.contents.get(path) {
            fs_err::write(&target, content)?;
            has_units = true;
        }
    }
    Ok(has_units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Entry;

    #[test]
    fn an_entry_below_a_link_is_not_written() {
        let outside = tempfile::tempdir().unwrap();
        let mut tree = Tree::default();
        let link = Entry {
            mode: crate::tree::S_IFLNK,
            target: Some(outside.path().to_owned()),
            ..Entry::default()
        };
        let unit = Path::new("etc/systemd/system/a.service").to_owned();
        tree.entries.insert("etc/systemd/system".into(), link);
        tree.entries.insert(unit.clone(), Entry::default());
        tree.contents.insert(unit, b"x".to_vec());
        let place = tempfile::tempdir().unwrap();
        write_units(&tree, place.path()).unwrap();
        let names = fs_err::read_dir(outside.path()).unwrap();
        assert_eq!(names.count(), 0);
    }

    #[test]
    fn an_entry_below_a_file_is_not_written() {
        let mut tree = Tree::default();
        for path in ["etc/systemd/system/a", "etc/systemd/system/a/b.service"] {
            tree.entries.insert(path.into(), Entry::default());
            tree.contents.insert(path.into(), b"x".to_vec());
        }
        let place = tempfile::tempdir().unwrap();
        assert!(write_units(&tree, place.path()).unwrap());
    }
}
