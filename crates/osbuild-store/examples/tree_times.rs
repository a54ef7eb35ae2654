//! Times what the store does with a whole tree; `benches/cache.sh` runs it beside `cp -a` and `rm -rf`.
//!
//! `tree_times STORE TREE`: TREE, on the file system of STORE, is moved into the store. Needs root.
#![expect(
    clippy::print_stdout,
    reason = "the figures are for the script that runs it"
)]

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use osbuild_sandbox::enter_private_mount_namespace;
use osbuild_store::{StepRecord, Store, StoreOptions};

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (store, tree) = (arguments.next(), arguments.next());
    let store = store.context("the first argument is a store")?;
    let tree = tree.context("the second argument is a tree")?;
    enter_private_mount_namespace()?;
    let store = Store::open(&store, &StoreOptions::default())?;
    let builder = store.new_tree()?;
    fs_err::remove_dir(builder.tree())?;
    fs_err::rename(tree, builder.tree())?;
    let record = StepRecord {
        stage_id: "stage".to_owned(),
        stage_type: "org.osbuild.test".to_owned(),
        pipeline: "tree".to_owned(),
        seconds: 1.0,
    };
    store.snapshotter()?;

    let start = Instant::now();
    let object = builder.finish_step("bench", &record, &serde_json::json!({}))?;
    tell("commit", start);
    let start = Instant::now();
    let view = store.new_tree_from(&object)?;
    tell("view", start);
    let start = Instant::now();
    store.record_digests()?;
    tell("digests", start);
    drop((view, object));
    let start = Instant::now();
    store.forget_step("bench")?;
    tell("remove", start);
    Ok(())
}

fn tell(what: &str, start: Instant) {
    println!("{what} {}", start.elapsed().as_micros());
}
