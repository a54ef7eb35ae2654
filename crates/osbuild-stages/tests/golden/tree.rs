//! A tree as lines of text, and what has changed in it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Runs a stage of upstream with the arguments in a file: `RUN_UPSTREAM STAGE FILE`.
pub(crate) const RUN_UPSTREAM: &str = "
import json, runpy, sys
import osbuild.api
stage, arguments = sys.argv[1:]
osbuild.api.arguments = lambda: json.load(open(arguments))
sys.argv = [stage]
runpy.run_path(stage, run_name='__main__')
";

/// How the line of an entry and the lines of its content are indented.
const ENTRY_INDENT: &str = "  ";
const CONTENT: &str = "    | ";
/// Ends a line of content that is the last one and has no end.
const NO_NEWLINE: &str = "\\";

/// Entries by their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<String, Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Directory(u32),
    Link(String),
    File(u32, String),
}

impl Tree {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut tree = Self::default();
        let mut last = String::new();
        for line in text.lines() {
            if let Some(content) = line.strip_prefix(CONTENT.trim_end()) {
                let content = content.strip_prefix(' ').unwrap_or(content);
                let Some(Entry::File(_, text)) = tree.0.get_mut(&last) else {
                    anyhow::bail!("`{line}` belongs to no file");
                };
                match content.strip_suffix(NO_NEWLINE) {
                    Some(content) => text.push_str(content),
                    None => writeln!(text, "{content}")?,
                }
                continue;
            }
            let (path, entry) = parse_entry(line.trim()).with_context(|| line.to_owned())?;
            last.clone_from(&path);
            tree.0.insert(path, entry);
        }
        Ok(tree)
    }

    /// Makes the entries below a directory.
    pub(crate) fn write(&self, root: &Path) -> Result<()> {
        for (path, entry) in &self.0 {
            let file = root.join(path);
            fs_err::create_dir_all(file.parent().context("it is below the root")?)?;
            match entry {
                Entry::Directory(mode) => {
                    fs_err::create_dir_all(&file)?;
                    fs_err::set_permissions(&file, PermissionsExt::from_mode(*mode))?;
                }
                Entry::Link(target) => fs_err::os::unix::fs::symlink(target, &file)?,
                Entry::File(mode, text) => {
                    fs_err::write(&file, text)?;
                    fs_err::set_permissions(&file, PermissionsExt::from_mode(*mode))?;
                }
            }
        }
        Ok(())
    }

    /// Reads everything below a directory.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.read_directory(root, Path::new(""))?;
        Ok(tree)
    }

    fn read_directory(&mut self, root: &Path, below: &Path) -> Result<()> {
        for entry in fs_err::read_dir(root.join(below))? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            let mode = entry.metadata()?.permissions().mode() & 0o7777;
            let kind = entry.file_type()?;
            let described = if kind.is_dir() {
                self.read_directory(root, &path)?;
                Entry::Directory(mode)
            } else if kind.is_symlink() {
                Entry::Link(fs_err::read_link(entry.path())?.display().to_string())
            } else {
                let bytes = fs_err::read(entry.path())?;
                Entry::File(mode, String::from_utf8_lossy(&bytes).into_owned())
            };
            self.0.insert(path.display().to_string(), described);
        }
        Ok(())
    }

    /// What is new, gone, or another thing in the other tree. Directories that a listed path only implies count as
    /// there.
    pub(crate) fn difference(&self, after: &Self) -> String {
        let mut text = String::new();
        let implied = |path: &String| {
            self.0
                .keys()
                .any(|other| other.starts_with(&format!("{path}/")))
        };
        let paths: std::collections::BTreeSet<_> = self.0.keys().chain(after.0.keys()).collect();
        for path in paths {
            match (self.0.get(path), after.0.get(path)) {
                (before, after) if before == after => {}
                (None, Some(Entry::Directory(0o755))) if implied(path) => {}
                (_, None) => writeln!(text, "{ENTRY_INDENT}- {path}").unwrap(),
                (None, Some(entry)) => push_entry(&mut text, '+', path, entry),
                (Some(_), Some(entry)) => push_entry(&mut text, '~', path, entry),
            }
        }
        text
    }
}

fn parse_entry(line: &str) -> Result<(String, Entry)> {
    if let Some((path, target)) = line.split_once(" -> ") {
        return Ok((path.to_owned(), Entry::Link(target.to_owned())));
    }
    let (path, mode) = line.rsplit_once(' ').context("a mode is missing")?;
    let mode = u32::from_str_radix(mode, 8)?;
    ensure!(!path.starts_with('/'), "paths begin below the tree");
    Ok(match path.strip_suffix('/') {
        Some(path) => (path.to_owned(), Entry::Directory(mode)),
        None => (path.to_owned(), Entry::File(mode, String::new())),
    })
}

fn push_entry(text: &mut String, sign: char, path: &str, entry: &Entry) {
    let head = match entry {
        Entry::Directory(mode) => format!("{path}/ {mode:04o}"),
        Entry::Link(target) => format!("{path} -> {target}"),
        Entry::File(mode, _) => format!("{path} {mode:04o}"),
    };
    writeln!(text, "{ENTRY_INDENT}{sign} {head}").unwrap();
    if let Entry::File(_, content) = entry {
        for line in content.split_inclusive('\n') {
            let line = match line.strip_suffix('\n') {
                Some(line) => format!("{CONTENT}{line}"),
                None => format!("{CONTENT}{line}{NO_NEWLINE}"),
            };
            writeln!(text, "{}", line.trim_end_matches(' ')).unwrap();
        }
    }
}
