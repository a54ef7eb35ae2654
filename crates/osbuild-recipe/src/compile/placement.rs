//! Stages that put files into a tree: directories, contents, links, then owners and modes.

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
    stages.extend(directories(things));
    stages.extend(contents(things, sources));
    stages.extend(links(things));
    // Modes come last: changing an owner takes set-id bits away.
    stages.extend(owners(things));
    stages.extend(modes(things));
    stages
}

fn directories(things: &[Placed<'_>]) -> Option<Value> {
    let mut paths = BTreeSet::new();
    for thing in things {
        match thing.what {
            What::Directory => paths.insert(thing.path),
            _ => match thing.path.rsplit_once('/') {
                Some((parent, _)) if !parent.is_empty() => paths.insert(parent),
                _ => false,
            },
        };
    }
    let paths: Vec<Value> = paths
        .into_iter()
        .map(|path| json!({ "path": path, "parents": true, "exist_ok": true }))
        .collect();
    (!paths.is_empty()).then(|| stage("org.osbuild.mkdir", json!({ "paths": paths })))
}

fn contents(things: &[Placed<'_>], sources: &mut Sources) -> Option<Value> {
    let mut references = BTreeSet::new();
    let mut paths = Vec::new();
    for thing in things {
        if let What::Content(bytes) = thing.what {
            let reference = sources.content(bytes);
            paths.push(json!({
                "from": format!("input://{INPUT}/{reference}"),
                "to": format!("tree://{}", thing.path),
                "remove_destination": true,
            }));
            references.insert(reference);
        }
    }
    let inputs = json!({ INPUT: files_input(references) });
    (!paths.is_empty())
        .then(|| stage_with_inputs("org.osbuild.copy", inputs, json!({ "paths": paths })))
}

fn links(things: &[Placed<'_>]) -> Option<Value> {
    let paths: Vec<Value> = things
        .iter()
        .filter_map(|thing| match thing.what {
            What::Link(target) => Some(json!({
                "target": target,
                "link_name": format!("tree://{}", thing.path),
                "symbolic": true,
            })),
            _ => None,
        })
        .collect();
    (!paths.is_empty()).then(|| stage("org.osbuild.ln", json!({ "paths": paths })))
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
