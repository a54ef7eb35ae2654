//! The result of `--json` for manifests of format 2.

use std::sync::Arc;

use osbuild_engine::outcome::{FailedAt, Outcome, SourceOutcome, StageOutcome};
use osbuild_manifest::manifest::Manifest;
use serde_json::{Map, Value, json};

use super::ran::ran;
use super::stage_error::stage_error;

/// Puts the result document together; members come in upstream's order.
pub(crate) fn result_document(manifest: &Manifest, outcome: &Outcome) -> Value {
    let mut result = Map::new();
    let is_success = outcome.success();
    let kind = if is_success { "result" } else { "error" };
    result.insert("type".into(), kind.into());
    result.insert("success".into(), is_success.into());
    if is_success {
        result.insert("metadata".into(), metadata(manifest, outcome));
    } else {
        result.insert("error".into(), error(manifest, outcome));
    }
    result.insert("sources".into(), sources(manifest, outcome));
    result.insert("log".into(), log(manifest, outcome));
    Value::Object(result)
}

/// Merges what the stages of one type left in each pipeline; later stages win.
fn metadata(manifest: &Manifest, outcome: &Outcome) -> Value {
    let mut all = Map::new();
    for (index, by_stage) in &outcome.metadata {
        let pipeline = &manifest.pipelines[*index];
        let mut merged = Map::new();
        for stage in &pipeline.stages {
            let Some(Value::Object(left)) = by_stage.get(&stage.id) else {
                continue;
            };
            if left.is_empty() {
                continue;
            }
            let entry = merged
                .entry(stage.name.clone())
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(entry) = entry {
                entry.extend(left.clone());
            }
        }
        if !merged.is_empty() {
            all.insert(pipeline.name.clone(), Value::Object(merged));
        }
    }
    Value::Object(all)
}

fn error(manifest: &Manifest, outcome: &Outcome) -> Value {
    if let Some(source) = outcome.failed_source() {
        return json!({
            "type": "org.osbuild.error.source",
            "details": {
                "source": {
                    "type": manifest.sources[source.source].name,
                    "output": first_error(source),
                },
            },
        });
    }
    if let Some((_, stage)) = outcome.failed_stage() {
        return json!({
            "type": "org.osbuild.error.stage",
            "details": {
                "stage": {
                    "id": stage.id.as_str(),
                    "type": stage.name,
                    "output": stage.whole_output(),
                    "error": stage_error(stage),
                },
            },
        });
    }
    let reason = match &outcome.failure {
        Some(FailedAt::Engine { error, .. }) => format!("{error:#}"),
        _ => "interrupted".to_owned(),
    };
    json!({ "type": "org.osbuild.error.internal", "details": { "reason": reason } })
}

fn first_error(source: &SourceOutcome) -> String {
    source
        .results
        .iter()
        .find_map(|result| result.error.clone())
        .unwrap_or_else(|| "cannot find failing source item".to_owned())
}

fn sources(manifest: &Manifest, outcome: &Outcome) -> Value {
    let mut all = Map::new();
    let success = outcome.sources.iter().all(|source| source.success);
    all.insert("success".into(), success.into());
    for source in &outcome.sources {
        let name = manifest.sources[source.source].name.clone();
        let items = source
            .results
            .iter()
            .map(|result| {
                let mut item = Map::new();
                if let Some(cached) = result.cached {
                    item.insert("cached".into(), cached.into());
                }
                if let Some(checksum) = &result.checksum {
                    item.insert("checksum".into(), checksum.as_str().into());
                }
                if let Some(error) = &result.error {
                    item.insert("error".into(), error.as_str().into());
                }
                Value::Object(item)
            })
            .collect();
        all.insert(name, Value::Array(items));
    }
    Value::Object(all)
}

/// Lists the stages that ran now, by pipeline in the order of the manifest.
fn log(manifest: &Manifest, outcome: &Outcome) -> Value {
    let mut all = Map::new();
    for pipeline in &manifest.pipelines {
        let Some(ran) = ran(manifest, outcome, pipeline) else {
            continue;
        };
        let stages: Vec<Value> = ran.stages.iter().map(log_entry).collect();
        if !stages.is_empty() {
            all.insert(pipeline.name.clone(), Value::Array(stages));
        }
    }
    Value::Object(all)
}

fn log_entry(stage: &Arc<StageOutcome>) -> Value {
    let mut entry = Map::new();
    entry.insert("id".into(), stage.id.as_str().into());
    entry.insert("type".into(), stage.name.as_str().into());
    entry.insert("output".into(), stage.whole_output().into_owned().into());
    if !stage.success {
        entry.insert("success".into(), false.into());
        let error = stage_error(stage);
        if !error.is_null() {
            entry.insert("error".into(), error);
        }
    }
    Value::Object(entry)
}
