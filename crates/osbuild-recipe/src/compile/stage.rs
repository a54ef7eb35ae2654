//! The shapes that manifests are made of.

use serde_json::{Map, Value, json};

/// A stage with options only.
pub(super) fn stage(name: &str, options: Value) -> Value {
    Value::Object(Map::from_iter([
        ("type".to_owned(), Value::from(name)),
        ("options".to_owned(), options),
    ]))
}

/// A stage with inputs.
pub(super) fn stage_with_inputs(name: &str, inputs: Value, options: Value) -> Value {
    Value::Object(Map::from_iter([
        ("type".to_owned(), Value::from(name)),
        ("inputs".to_owned(), inputs),
        ("options".to_owned(), options),
    ]))
}

/// An input of files that sources bring, by reference.
pub(super) fn files_input(references: impl IntoIterator<Item = String>) -> Value {
    let references: Map<String, Value> = references
        .into_iter()
        .map(|reference| (reference, json!({})))
        .collect();
    json!({
        "type": "org.osbuild.files",
        "origin": "org.osbuild.source",
        "references": references,
    })
}

/// An input of the tree that another pipeline made.
pub(super) fn tree_input(pipeline: &str) -> Value {
    json!({
        "type": "org.osbuild.tree",
        "origin": "org.osbuild.pipeline",
        "references": [format!("name:{pipeline}")],
    })
}

/// An input of one file that another pipeline made.
pub(super) fn pipeline_file_input(pipeline: &str, file: &str) -> Value {
    json!({
        "type": "org.osbuild.files",
        "origin": "org.osbuild.pipeline",
        "references": { format!("name:{pipeline}"): { "file": file } },
    })
}
