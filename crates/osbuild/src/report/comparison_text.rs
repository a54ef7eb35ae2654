//! What differs between two builds, for reading.

use std::fmt::Write as _;

use osbuild_inspect::compare::{Change, Comparison, FileChange, FileChangeKind};

use crate::printable::printable;

/// More lines of files than this are not read by anyone who did not ask for all of them.
const FILE_LINES: usize = 60;

/// How much to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// A directory that is on one side only counts as one line, and long lists are cut.
    Summary,
    /// Every file.
    Everything,
}

/// Writes the comparison as text.
pub(crate) fn text(found: &Comparison, extent: Extent) -> String {
    if found.is_empty() {
        return "no differences\n".to_owned();
    }
    let mut text = String::new();
    let sections = [
        ("System", &found.system),
        ("Packages", &found.packages),
        ("Boot entries", &found.boot),
        ("Partitions", &found.partitions),
    ];
    for (title, changes) in sections {
        section(&mut text, title, changes);
    }
    files(&mut text, &found.files, extent);
    text
}

fn section(text: &mut String, title: &str, changes: &[Change]) {
    if changes.is_empty() {
        return;
    }
    let added = changes
        .iter()
        .filter(|change| change.before.is_none())
        .count();
    let removed = changes
        .iter()
        .filter(|change| change.after.is_none())
        .count();
    heading(
        text,
        title,
        [changes.len() - added - removed, added, removed],
    );
    let width = changes
        .iter()
        .map(|change| change.name.chars().count())
        .max()
        .unwrap_or_default();
    for change in changes {
        let name = printable(&change.name);
        let line = match (&change.before, &change.after) {
            (Some(before), Some(after)) => format!(
                "~ {name:width$}  {} → {}",
                printable(before),
                printable(after)
            ),
            (None, Some(after)) => format!("+ {name:width$}  {}", printable(after)),
            (Some(before), None) => format!("- {name:width$}  {}", printable(before)),
            (None, None) => continue,
        };
        text.push_str(&format!("  {}\n", line.trim_end()));
    }
}

fn heading(text: &mut String, title: &str, [changed, added, removed]: [usize; 3]) {
    if !text.is_empty() {
        text.push('\n');
    }
    let counts = [(changed, "changed"), (added, "added"), (removed, "removed")];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    text.push_str(&format!("{title}: {}\n", counts.join(", ")));
}

fn files(text: &mut String, changes: &[FileChange], extent: Extent) {
    if changes.is_empty() {
        return;
    }
    let count = |wanted: fn(&FileChangeKind) -> bool| {
        changes.iter().filter(|change| wanted(&change.kind)).count()
    };
    let added = count(|kind| matches!(kind, FileChangeKind::Added));
    let removed = count(|kind| matches!(kind, FileChangeKind::Removed));
    heading(
        text,
        "Files",
        [changes.len() - added - removed, added, removed],
    );
    let lines = match extent {
        Extent::Summary => summary(changes),
        Extent::Everything => changes.iter().map(|change| line(change, 0)).collect(),
    };
    let shown = if extent == Extent::Summary {
        FILE_LINES
    } else {
        lines.len()
    };
    for line in lines.iter().take(shown) {
        text.push_str(&format!("  {line}\n"));
    }
    if lines.len() > shown {
        let more = lines.len() - shown;
        text.push_str(&format!("  … and {more} more; `--all` shows every file\n"));
    }
}

/// Leaves out what is below a directory that is as new, or as gone, as itself. Changes come sorted by path.
fn summary(changes: &[FileChange]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut index = 0;
    while let Some(change) = changes.get(index) {
        index += 1;
        let below = format!("{}/", change.path);
        let is_same =
            |other: &&FileChange| other.kind == change.kind && other.path.starts_with(&below);
        let hidden = match change.kind {
            FileChangeKind::Changed { .. } => 0,
            _ => changes[index..].iter().take_while(is_same).count(),
        };
        index += hidden;
        lines.push(line(change, hidden));
    }
    lines
}

fn line(change: &FileChange, hidden: usize) -> String {
    let path = printable(&change.path);
    let below = if hidden > 0 {
        format!("/ and {hidden} below it")
    } else {
        String::new()
    };
    match &change.kind {
        FileChangeKind::Added => format!("+ {path}{below}"),
        FileChangeKind::Removed => format!("- {path}{below}"),
        FileChangeKind::Changed { properties } => {
            format!("~ {path}  {}", properties_text(properties))
        }
    }
}

/// Writes properties in a line; digests are for programs.
fn properties_text(properties: &[Change]) -> String {
    let mut text = String::new();
    for property in properties {
        let separator = if text.is_empty() { "" } else { ", " };
        let (before, after) = (
            shown(property.before.as_ref()),
            shown(property.after.as_ref()),
        );
        let written = match property.name.as_str() {
            "content" => write!(text, "{separator}content"),
            name => write!(text, "{separator}{} {before} → {after}", printable(name)),
        };
        written.expect("a String takes everything");
    }
    text
}

fn shown(value: Option<&String>) -> std::borrow::Cow<'_, str> {
    value.map_or("none".into(), |value| printable(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, kind: FileChangeKind) -> FileChange {
        FileChange {
            path: path.to_owned(),
            kind,
        }
    }

    fn change(name: &str, before: Option<&str>, after: Option<&str>) -> Change {
        Change {
            name: name.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        }
    }

    fn example() -> Comparison {
        let properties = vec![
            change("mode", Some("0644"), Some("0600")),
            change("content", Some("1"), Some("2")),
        ];
        Comparison {
            packages: vec![
                change("libc6", Some("2.36"), Some("2.37")),
                change("vim", None, Some("9")),
            ],
            files: vec![
                file("/etc/passwd", FileChangeKind::Changed { properties }),
                file("/opt", FileChangeKind::Added),
                file("/opt/a", FileChangeKind::Added),
                file("/opt/a/b", FileChangeKind::Added),
                file("/optional", FileChangeKind::Added),
                file("/srv\u{1b}", FileChangeKind::Removed),
            ],
            ..Comparison::default()
        }
    }

    #[test]
    fn a_person_reads_what_changed() {
        let expected = "\
Packages: 1 changed, 1 added
  ~ libc6  2.36 → 2.37
  + vim    9

Files: 1 changed, 4 added, 1 removed
  ~ /etc/passwd  mode 0644 → 0600, content
  + /opt/ and 2 below it
  + /optional
  - /srv\\u{1b}
";
        assert_eq!(text(&example(), Extent::Summary), expected);
    }

    #[test]
    fn every_file_is_shown_on_request() {
        let everything = text(&example(), Extent::Everything);
        assert!(everything.contains("  + /opt/a/b\n"), "{everything}");
        assert_eq!(
            text(&Comparison::default(), Extent::Everything),
            "no differences\n"
        );
    }
}
