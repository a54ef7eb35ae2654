//! Reads `files`.

use std::collections::HashSet;
use std::path::PathBuf;

use super::identity_names::{is_account_name, is_plain_path};
use crate::node::{Node, NodeKind};
use crate::problem::{Problems, RecipeError};
use crate::recipe::{Account, Content, FileEntry};
use crate::section::{Section, wrong_kind};

const DEFAULT_FILE_MODE: u32 = 0o644;
const DEFAULT_DIRECTORY_MODE: u32 = 0o755;
/// Folders that are mounted when the system runs: what an image has there is never seen.
const MOUNTED_AT_RUN_TIME: [&str; 4] = ["/dev", "/proc", "/run", "/sys"];
/// Permission, set-id and sticky bits.
const MODE_BITS: u32 = 0o7777;

pub(super) fn files(section: &mut Section<'_>, problems: &mut Problems) -> Vec<FileEntry> {
    let mut seen = HashSet::new();
    let files: Vec<FileEntry> = section
        .list("files", problems)
        .iter()
        .filter_map(|node| file(node, &mut seen, problems))
        .collect();
    check_folders(&files, problems);
    files
}

/// Nothing can lie below what is no folder.
fn check_folders(files: &[FileEntry], problems: &mut Problems) {
    for file in files {
        let above = files.iter().find(|other| {
            !matches!(other.content, Content::Directory)
                && other.path != file.path
                && is_at_or_below(&file.path, &other.path)
        });
        if let Some(above) = above {
            let message = format!(
                "`{}` can not lie in `{}`, which `files` makes no directory",
                file.path, above.path
            );
            problems.add(RecipeError::new(file.place, message));
        }
    }
}

fn file(node: &Node, seen: &mut HashSet<String>, problems: &mut Problems) -> Option<FileEntry> {
    let mut section = Section::open(node, "files", problems)?;
    let place = section.place();
    let path = section.required_text("path", problems);
    let content = content(&mut section, problems);
    let mode = mode(&mut section, problems);
    let owner = account(&mut section, "owner", problems);
    let group = account(&mut section, "group", problems);
    section.finish(problems);
    let (path, content) = (path?, content?);
    if path.value == "/" || !is_plain_path(&path.value) {
        problems.add(
            RecipeError::new(path.place, format!("`{}` is no path of a file", path.value))
                .hint("write it from `/`, without `..` and without a slash at the end"),
        );
    }
    if let Some(folder) = hidden_by(&path.value) {
        problems.add(
            RecipeError::new(
                path.place,
                format!(
                    "`{}` would never be seen: `{folder}` is filled anew whenever the system starts",
                    path.value
                ),
            )
            .hint("a unit in `/etc/systemd/system` or a file in `/etc/tmpfiles.d` can make it at each start"),
        );
    }
    if !seen.insert(path.value.clone()) {
        problems.add(RecipeError::new(
            path.place,
            format!("file `{}` is named twice", path.value),
        ));
    }
    let default_mode = match content {
        Content::Directory => DEFAULT_DIRECTORY_MODE,
        _ => DEFAULT_FILE_MODE,
    };
    Some(FileEntry {
        path: path.value,
        content,
        mode: mode.unwrap_or(default_mode),
        owner,
        group,
        place,
    })
}

/// The folder that is mounted over a path when the system runs; `/var/run` and `/var/lock` are links into one.
pub(super) fn hidden_by(path: &str) -> Option<&'static str> {
    if is_at_or_below(path, "/var/run") || is_at_or_below(path, "/var/lock") {
        return Some("/run");
    }
    MOUNTED_AT_RUN_TIME
        .into_iter()
        .find(|folder| is_at_or_below(path, folder))
}

fn is_at_or_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Exactly one of `content`, `source`, `link` and `directory` says what is put there.
fn content(section: &mut Section<'_>, problems: &mut Problems) -> Option<Content> {
    let text = section
        .text("content", problems)
        .map(|text| Content::Text(text.value));
    let source = section
        .text("source", problems)
        .map(|text| Content::Source(PathBuf::from(text.value)));
    let link = section
        .text("link", problems)
        .map(|text| Content::Link(text.value));
    let directory = match section.boolean("directory", problems) {
        Some(true) => Some(Content::Directory),
        _ => None,
    };
    let mut found: Vec<Content> = [text, source, link, directory]
        .into_iter()
        .flatten()
        .collect();
    if found.len() != 1 {
        problems.add(
            RecipeError::new(
                section.place(),
                "`files` needs one thing to put at the path",
            )
            .hint("write one of `content`, `source`, `link` and `directory: true`"),
        );
        return None;
    }
    found.pop()
}

/// `mode` is octal and begins with 0, so that nobody writes decimal by accident.
fn mode(section: &mut Section<'_>, problems: &mut Problems) -> Option<u32> {
    const ADVICE: &str = "write permissions in octal with a leading 0, like `0644`";
    let node = section.get("mode")?;
    let digits = match &node.kind {
        NodeKind::Text(text) => text.strip_prefix("0o").or_else(|| text.strip_prefix('0')),
        _ => None,
    };
    let mode = digits
        .and_then(|digits| u32::from_str_radix(digits, 8).ok())
        .filter(|mode| *mode <= MODE_BITS);
    if mode.is_none() {
        let error = match &node.kind {
            NodeKind::Text(text) => {
                RecipeError::new(node.place, format!("`files.mode` is `{text}`"))
            }
            other => wrong_kind("files.mode", "octal", other, node.place),
        };
        problems.add(error.hint(ADVICE));
    }
    mode
}

fn account(
    section: &mut Section<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Option<Account> {
    let node = section.get(key)?;
    match &node.kind {
        NodeKind::Integer(number) => match u32::try_from(*number) {
            Ok(number) if number < u32::MAX => return Some(Account::Number(number)),
            _ => problems.add(RecipeError::new(
                node.place,
                format!("`files.{key}` is no number of a user or group"),
            )),
        },
        NodeKind::Text(name) if is_account_name(name) => return Some(Account::Name(name.clone())),
        NodeKind::Text(name) => problems.add(RecipeError::new(
            node.place,
            format!("`{name}` in `files.{key}` is not a name"),
        )),
        other => problems.add(wrong_kind(
            &format!("files.{key}"),
            "a name or a number",
            other,
            node.place,
        )),
    }
    None
}
