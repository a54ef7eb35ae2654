//! What differs between two builds, in the terms of a person who looks at them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::disk::Partition;
use crate::subject::Subject;
use crate::tree::{Entry, Tree, digest_text};
use crate::{facts, packages};

/// Everything that differs; empty lists where nothing does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Release, host name, users, groups, mounts, kernels.
    pub system: Vec<Change>,
    /// Packages and their versions.
    pub packages: Vec<Change>,
    /// Boot entries, each with its kernel and options.
    pub boot: Vec<Change>,
    /// Partitions of disk images.
    pub partitions: Vec<Change>,
    /// Files, directories, links, nodes.
    pub files: Vec<FileChange>,
}

impl Comparison {
    /// Tells whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A named thing that is on one side only, or different on both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// What it is on the left; none if it is not there.
    pub before: Option<String>,
    /// What it is on the right; none if it is not there.
    pub after: Option<String>,
}

/// A file that is on one side only, or different on both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Its absolute path; bytes that are not UTF-8 are shown as U+FFFD.
    pub path: String,
    /// How.
    #[serde(flatten)]
    pub kind: FileChangeKind,
}

/// How a file differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "lowercase")]
pub enum FileChangeKind {
    /// Only on the right.
    Added,
    /// Only on the left.
    Removed,
    /// On both sides; the properties that differ.
    Changed {
        /// `mode`, `owner`, `content`, `target`, …
        properties: Vec<Change>,
    },
}

/// Compares two builds.
///
/// # Errors
/// A package database that can not be read.
pub fn compare(before: &Subject, after: &Subject) -> Result<Comparison> {
    let packages = |subject: &Subject, side| {
        packages::installed(&subject.tree)
            .with_context(|| format!("reading the packages of the {side} side"))
    };
    Ok(Comparison {
        system: changes(&facts::facts(&before.tree), &facts::facts(&after.tree)),
        packages: changes(&packages(before, "left")?, &packages(after, "right")?),
        boot: changes(
            &facts::boot_entries(&before.tree),
            &facts::boot_entries(&after.tree),
        ),
        partitions: changes(
            &partitions(&before.partitions),
            &partitions(&after.partitions),
        ),
        files: files(
            &before.tree,
            &after.tree,
            before.has_attributes && after.has_attributes,
        ),
    })
}

fn changes(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<Change> {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| Change {
            name: name.clone(),
            before: before.get(name).cloned(),
            after: after.get(name).cloned(),
        })
        .collect()
}

fn partitions(partitions: &[Partition]) -> BTreeMap<String, String> {
    partitions
        .iter()
        .map(|partition| {
            (
                format!("partition {}", partition.number),
                describe(partition),
            )
        })
        .collect()
}

fn describe(partition: &Partition) -> String {
    let mut words = Vec::new();
    let mut add = |key: &str, value: Option<&String>| {
        words.extend(value.map(|value| format!("{key} {value}")));
    };
    add("name", partition.name.as_ref());
    add("type", partition.kind.as_ref());
    add("uuid", partition.uuid.as_ref());
    let file_system = partition.file_system.as_ref();
    add("with", file_system.map(|fs| fs.kind.to_owned()).as_ref());
    add(
        "file system uuid",
        file_system.and_then(|fs| fs.uuid.as_ref()),
    );
    add("label", file_system.and_then(|fs| fs.label.as_ref()));
    add(
        "content",
        partition.digest.as_ref().map(digest_text).as_ref(),
    );
    words.push(format!("{} bytes from {}", partition.size, partition.start));
    words.join(", ")
}

fn files(before: &Tree, after: &Tree, with_attributes: bool) -> Vec<FileChange> {
    let paths: BTreeSet<&PathBuf> = before.entries.keys().chain(after.entries.keys()).collect();
    let change = |path: &PathBuf| {
        let kind = match (before.entries.get(path), after.entries.get(path)) {
            (Some(_), None) => FileChangeKind::Removed,
            (None, Some(_)) => FileChangeKind::Added,
            (Some(left), Some(right)) => {
                let properties = properties(left, right, with_attributes);
                if properties.is_empty() {
                    return None;
                }
                FileChangeKind::Changed { properties }
            }
            (None, None) => return None,
        };
        let path = format!("/{}", path.display());
        Some(FileChange { path, kind })
    };
    paths.into_iter().filter_map(change).collect()
}

fn properties(left: &Entry, right: &Entry, with_attributes: bool) -> Vec<Change> {
    let mut all = vec![
        ("kind", Some(kind(left)), Some(kind(right))),
        ("mode", Some(mode(left)), Some(mode(right))),
        ("owner", Some(owner(left)), Some(owner(right))),
        ("target", target(left), target(right)),
        ("content", content(left), content(right)),
    ];
    if with_attributes {
        all.push(("device", device(left), device(right)));
        let names: BTreeSet<_> = left
            .attributes
            .keys()
            .chain(right.attributes.keys())
            .collect();
        let attributes: Vec<_> = names
            .into_iter()
            .map(|name| {
                let value = |entry: &Entry| {
                    entry
                        .attributes
                        .get(name)
                        .map(|value| value.escape_ascii().to_string())
                };
                (
                    format!("attribute {}", name.escape_ascii()),
                    value(left),
                    value(right),
                )
            })
            .collect();
        let mut changes = differing(all);
        changes.extend(differing(attributes));
        return changes;
    }
    differing(all)
}

fn differing(properties: Vec<(impl Into<String>, Option<String>, Option<String>)>) -> Vec<Change> {
    properties
        .into_iter()
        .filter(|(_, before, after)| before != after)
        .map(|(name, before, after)| Change {
            name: name.into(),
            before,
            after,
        })
        .collect()
}

fn kind(entry: &Entry) -> String {
    use crate::tree::{S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK};
    let name = match entry.kind() {
        S_IFREG => "file",
        S_IFDIR => "directory",
        S_IFLNK => "link",
        S_IFCHR => "character device",
        S_IFBLK => "block device",
        S_IFIFO => "pipe",
        S_IFSOCK => "socket",
        _ => "unknown",
    };
    name.to_owned()
}

fn mode(entry: &Entry) -> String {
    // The mode of a link means nothing, and archives do not agree on it.
    if entry.is_link() {
        "-".to_owned()
    } else {
        format!("{:04o}", entry.mode & 0o7777)
    }
}

fn owner(entry: &Entry) -> String {
    format!("{}:{}", entry.uid, entry.gid)
}

fn target(entry: &Entry) -> Option<String> {
    Some(entry.target.as_ref()?.display().to_string())
}

fn content(entry: &Entry) -> Option<String> {
    let digest = entry.digest.as_ref()?;
    Some(format!("{} bytes, {}", entry.size, digest_text(digest)))
}

fn device(entry: &Entry) -> Option<String> {
    let (major, minor) = entry.device?;
    Some(format!("{major}:{minor}"))
}
