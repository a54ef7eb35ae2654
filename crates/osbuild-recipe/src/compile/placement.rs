//! Stages that put files into a tree, and give them owners and modes.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::sources::Sources;
use super::stage::{files_input, stage, stage_with_inputs};
use crate::recipe::Account;

/// Name of the input that brings contents.
const INPUT: &str = "files";

/// One thing to put into a tree.
pub(super) struct Placed<'a> {
    pub(super) path: &'a str,
    pub(super) what: What<'a>,
    pub(super) mode: u32,
    pub(super) owner: Option<&'a Account>,
    pub(super) group: Option<&'a Account>,
}

/// What is put at a path.
pub(super) enum What<'a> {
    Content(&'a [u8]),
    Link(&'a str),
    Directory,
}

impl<'a> Placed<'a> {
    /// A file of root's.
    pub(super) fn file(path: &'a str, content: &'a [u8], mode: u32) -> Self {
        Self {
            path,
            what: What::Content(content),
            mode,
            owner: None,
            group: None,
        }
    }
}

/// The stages that put things into the tree, none when there is nothing to put.
pub(super) fn place(things: &[Placed<'_>], sources: &mut Sources) -> Vec<Value> {
    let mut stages = Vec::new();
    stages.extend(entries(things, sources));
    // Modes come last: changing an owner takes set-id bits away.
    stages.extend(owners(things));
    stages.extend(modes(things));
    stages
}

/// Directories come first, from the top: what is put into one must not make it with other attributes.
fn entries(things: &[Placed<'_>], sources: &mut Sources) -> Option<Value> {
    let mut references = BTreeSet::new();
    let (directories, others): (Vec<_>, Vec<_>) = things
        .iter()
        .partition(|thing| matches!(thing.what, What::Directory));
    let entries: Vec<Value> = directories
        .into_iter()
        .chain(others)
        .map(|thing| {
            let path = thing.path;
            match thing.what {
                What::Directory => json!({ "path": path, "directory": true }),
                What::Link(target) => json!({ "path": path, "link": target }),
                What::Content(bytes) => {
                    let reference = sources.content(bytes);
                    let entry = json!({ "path": path, "content": &reference });
                    references.insert(reference);
                    entry
                }
            }
        })
        .collect();
    let options = json!({ "entries": entries });
    (!entries.is_empty()).then(|| {
        if references.is_empty() {
            return stage("org.osbuild.place", options);
        }
        let inputs = json!({ INPUT: files_input(references) });
        stage_with_inputs("org.osbuild.place", inputs, options)
    })
}

fn modes(things: &[Placed<'_>]) -> Option<Value> {
    let items: Map<String, Value> = things
        .iter()
        .filter(|thing| !matches!(thing.what, What::Link(_)))
        .map(|thing| {
            let mode = format!("{:04o}", thing.mode);
            (thing.path.to_owned(), json!({ "mode": mode }))
        })
        .collect();
    (!items.is_empty()).then(|| stage("org.osbuild.chmod", json!({ "items": items })))
}

fn owners(things: &[Placed<'_>]) -> Option<Value> {
    let items: Map<String, Value> = things
        .iter()
        .filter_map(|thing| {
            let mut item = Map::new();
            for (key, account) in [("user", thing.owner), ("group", thing.group)] {
                if let Some(account) = account {
                    item.insert(key.to_owned(), account_json(account));
                }
            }
            (!item.is_empty()).then(|| (thing.path.to_owned(), Value::Object(item)))
        })
        .collect();
    (!items.is_empty()).then(|| stage("org.osbuild.chown", json!({ "items": items })))
}

fn account_json(account: &Account) -> Value {
    match account {
        Account::Name(name) => json!(name),
        Account::Number(number) => json!(number),
    }
}
