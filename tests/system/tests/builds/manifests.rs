//! Manifests that several tests build.

use serde_json::{Value, json};

/// What [`small`] makes.
pub(crate) const SMALL_TREE: &str = "etc/ 0755\netc/hostname 0644 \"small\\n\"\n";

/// Two stages, in some hundredths of a second.
pub(crate) fn small() -> String {
    one_pipeline(&json!([
        {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/etc"}]}},
        {"type": "org.osbuild.hostname", "options": {"hostname": "small"}},
    ]))
}

/// One pipeline `tree` with these stages.
pub(crate) fn one_pipeline(stages: &Value) -> String {
    let manifest = json!({"version": "2", "pipelines": [{"name": "tree", "stages": stages}]});
    format!("{manifest:#}\n")
}

/// Ends, if left alone, only after minutes: `xz` reads a file of 256 GiB without content.
pub(crate) fn long() -> String {
    let manifest = json!({
        "version": "2",
        "pipelines": [
            {"name": "image", "stages": [
                {"type": "org.osbuild.truncate", "options": {"filename": "disk.img", "size": "256G"}},
            ]},
            {"name": "archive", "stages": [
                {
                    "type": "org.osbuild.xz",
                    "inputs": {"file": {
                        "type": "org.osbuild.tree",
                        "origin": "org.osbuild.pipeline",
                        "references": ["name:image"],
                    }},
                    "options": {"filename": "disk.img.xz"},
                },
            ]},
        ],
    });
    format!("{manifest:#}\n")
}
