//! The text report of `osbuild MANIFEST`, in upstream's form.

use std::collections::BTreeSet;

use osbuild_manifest::manifest::{Manifest, StageId};
use osbuild_store::Store;

/// Lists pipelines with their ids, and which of the checkpoints are in the store.
pub(crate) fn success_report(
    manifest: &Manifest,
    checkpoints: &BTreeSet<StageId>,
    store: &Store,
) -> String {
    let mut text = String::from("\nPipelines\n");
    for pipeline in &manifest.pipelines {
        let name = format!("{}:", pipeline.name);
        let id = pipeline.id().map_or("None", |id| id.as_str());
        text += &format!("  {name:<10}\t{id}\n");
    }
    text += "\nCheckpoints\n";
    for id in checkpoints {
        let state = if store.contains(id.as_str()) {
            "cached"
        } else {
            "not cached"
        };
        text += &format!("  {id}: {state}\n");
    }
    text
}
