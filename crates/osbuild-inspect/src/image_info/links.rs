//! Follows links within a tree that is plain data.

use std::path::{Component, Path, PathBuf};

use crate::tree::Tree;

/// As many links in a row as Linux follows (`MAXSYMLINKS`).
const LINKS_MAXIMUM: usize = 40;

/// Follows every link of a path as if the tree were the root; none if it leads to nothing.
pub(super) fn resolve(tree: &Tree, path: &Path) -> Option<PathBuf> {
    let mut rest: Vec<PathBuf> = components(path);
    let mut resolved = PathBuf::new();
    let mut links = 0;
    while let Some(component) = rest.pop() {
        if component.as_os_str() == ".." {
            resolved.pop();
            continue;
        }
        resolved.push(&component);
        let Some(entry) = tree.entries.get(&resolved) else {
            // Archives need not have entries for the directories that their files are in.
            if tree.below(&resolved).next().is_some() {
                continue;
            }
            return None;
        };
        let Some(target) = &entry.target else {
            continue;
        };
        links += 1;
        if links > LINKS_MAXIMUM {
            return None;
        }
        if target.is_absolute() {
            resolved = PathBuf::new();
        } else {
            resolved.pop();
        }
        rest.extend(components(target));
    }
    Some(resolved)
}

/// Components in reverse, `..` as it is, without `.` and the root.
fn components(path: &Path) -> Vec<PathBuf> {
    path.components()
        .rev()
        .filter(|component| matches!(component, Component::Normal(_) | Component::ParentDir))
        .map(|component| PathBuf::from(component.as_os_str()))
        .collect()
}
