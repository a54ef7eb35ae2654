//! The report of upstream's `tree-diff`, to the letter: its tests and users parse it.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use osbuild_manifest::value::{Object, Text, Value};

use crate::directory;
use crate::tree::{Entry, Tree, digest_text};

/// Names of files whose content changes with the time of the build, wherever they are: their digests are left out.
const TIMESTAMPED_FILES: [&str; 5] = ["aux-cache", "rpmdb.sqlite", "cacerts", "shadow", "shadow-"];

/// The attribute in which `SELinux` keeps the label of a file.
const SELINUX: &[u8] = b"security.selinux";

/// Compares two directories: JSON with `added_files`, `deleted_files` and `differences`, indented by two, keys sorted.
///
/// # Errors
/// One of them can not be listed.
pub fn tree_diff(before: &Path, after: &Path) -> Result<String> {
    let before = directory::read(before).context("reading the first directory")?;
    let after = directory::read(after).context("reading the second directory")?;
    Ok(report(&before, &after).to_indented_python_json(2))
}

fn report(before: &Tree, after: &Tree) -> Value {
    // Below a directory whose mode differs upstream does not look.
    let is_seen = |path: &Path| {
        path.ancestors().skip(1).all(|ancestor| {
            match (before.entries.get(ancestor), after.entries.get(ancestor)) {
                (Some(left), Some(right)) => {
                    left.mode == right.mode || ancestor.as_os_str().is_empty()
                }
                _ => true,
            }
        })
    };
    let only = |one: &Tree, other: &Tree| {
        let missing = one
            .entries
            .keys()
            .filter(|path| !other.entries.contains_key(*path));
        let mut texts: Vec<Text> = missing
            .filter(|path| is_seen(path))
            .map(|path| text(path))
            .collect();
        texts.sort();
        Value::Array(texts.into_iter().map(Value::String).collect())
    };
    let both = before
        .entries
        .iter()
        .filter_map(|(path, left)| Some((path, left, after.entries.get(path)?)));
    let mut differences: Vec<(Text, Value)> = both
        .filter(|(path, ..)| is_seen(path))
        .filter_map(|(path, left, right)| Some((text(path), differences_of(path, left, right)?)))
        .collect();
    differences.sort_by(|(left, _), (right, _)| left.cmp(right));
    let mut by_path = Object::new();
    for (path, difference) in differences {
        by_path.insert(path, difference);
    }
    let mut report = Object::new();
    report.insert("added_files", only(after, before));
    report.insert("deleted_files", only(before, after));
    report.insert("differences", Value::Object(by_path));
    Value::Object(report)
}

/// Gives what differs, keys in order; with another mode nothing but owner-independent things are looked at.
fn differences_of(path: &Path, left: &Entry, right: &Entry) -> Option<Value> {
    let mut found = Object::new();
    if left.mode == right.mode {
        if let Some(content) = content(path, left, right) {
            found.insert("content", content);
        }
        if left.gid != right.gid {
            found.insert("gid", pair(number(left.gid), number(right.gid)));
        }
    } else {
        found.insert("mode", pair(number(left.mode), number(right.mode)));
    }
    let (left_label, right_label) = (label(left), label(right));
    if left_label != right_label {
        found.insert(
            "selinux",
            pair(left_label.as_str().into(), right_label.as_str().into()),
        );
    }
    if left.mode == right.mode {
        if let (Some(before), Some(after)) = (&left.target, &right.target)
            && before != after
        {
            found.insert(
                "symlink",
                pair(
                    Value::String(python_text(before)),
                    Value::String(python_text(after)),
                ),
            );
        }
        if left.uid != right.uid {
            found.insert("uid", pair(number(left.uid), number(right.uid)));
        }
    }
    (!found.is_empty()).then_some(Value::Object(found))
}

fn content(path: &Path, left: &Entry, right: &Entry) -> Option<Value> {
    let (before, after) = (left.digest.as_ref()?, right.digest.as_ref()?);
    if before == after {
        return None;
    }
    let is_timestamped = path
        .file_name()
        .is_some_and(|name| TIMESTAMPED_FILES.iter().any(|known| name == *known));
    if is_timestamped {
        return Some(pair(Value::Null, Value::Null));
    }
    Some(pair(
        digest_text(before).as_str().into(),
        digest_text(after).as_str().into(),
    ))
}

fn label(entry: &Entry) -> String {
    let value = entry
        .attributes
        .get(SELINUX)
        .map(Vec::as_slice)
        .unwrap_or_default();
    String::from_utf8_lossy(value)
        .trim_matches(['\n', '\0'])
        .to_owned()
}

fn number(number: u32) -> Value {
    Value::from_serde(&number.into())
}

fn pair(left: Value, right: Value) -> Value {
    Value::Array(vec![left, right])
}

fn text(path: &Path) -> Text {
    python_text(&Path::new("/").join(path))
}

/// Python's `os.fsdecode`: a byte that is not UTF-8 becomes a lone surrogate, U+DC00 and the byte.
fn python_text(path: &Path) -> Text {
    let mut codes: Vec<u32> = Vec::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        codes.extend(chunk.valid().chars().map(u32::from));
        codes.extend(chunk.invalid().iter().map(|&byte| 0xdc00 + u32::from(byte)));
    }
    Text::from_code_points(codes).unwrap_or_else(|| path.to_string_lossy().as_ref().into())
}
