//! The result of `--json` for manifests of format 1.

use osbuild_engine::outcome::{FailedAt, Outcome, PipelineOutcome, StageOutcome};
use osbuild_manifest::manifest::{Manifest, Pipeline};
use serde_json::{Map, Value, json};

use super::ran::ran;
use super::stage_error::stage_error;

/// The pipeline that makes the tree, and the one of the assembler.
const TREE: &str = "tree";
const ASSEMBLER: &str = "assembler";

/// Puts the result document together, oddities of upstream's included: the `success` of a pipeline with a build tree is
/// that of the build tree, and what was not built counts as a success. The exit code is right.
pub(crate) fn result_document(manifest: &Manifest, outcome: &Outcome) -> Value {
    let find = |name: &str| {
        let pipeline = manifest.find_pipeline(name)?;
        Some(&manifest.pipelines[pipeline])
    };
    let mut result =
        find(TREE).map_or_else(Map::new, |tree| pipeline_result(manifest, outcome, tree));
    let assembled = find(ASSEMBLER).and_then(|assembler| ran(manifest, outcome, assembler));
    if let Some(assembled) = assembled
        && let Some(stage) = assembled.stages.first()
    {
        result.insert("assembler".into(), stage_result(assembled, stage));
        if !stage.success {
            result.insert("success".into(), false.into());
        }
    }
    if let Some(FailedAt::Engine { .. }) = outcome.failure {
        // Upstream ends with a traceback here and prints no document.
        result.insert("success".into(), false.into());
    }
    Value::Object(result)
}

fn pipeline_result(
    manifest: &Manifest,
    outcome: &Outcome,
    pipeline: &Pipeline,
) -> Map<String, Value> {
    let ran = ran(manifest, outcome, pipeline);
    let mut result = Map::new();
    let has_succeeded = ran.is_none_or(|ran| ran.stages.iter().all(|stage| stage.success));
    result.insert("success".into(), has_succeeded.into());
    let build = pipeline
        .build
        .as_ref()
        .and_then(|id| manifest.find_pipeline(id.as_str()));
    if let Some(build) = build {
        let build = pipeline_result(manifest, outcome, &manifest.pipelines[build]);
        result.insert("success".into(), build["success"].clone());
        result.insert("build".into(), Value::Object(build));
    }
    if let Some(ran) = ran.filter(|ran| !ran.stages.is_empty()) {
        let stages = ran.stages.iter().map(|stage| stage_result(ran, stage));
        result.insert("stages".into(), stages.collect());
    }
    result
}

fn stage_result(pipeline: &PipelineOutcome, stage: &StageOutcome) -> Value {
    // Upstream reads metadata from the finished tree; without one there is none.
    let metadata = stage.metadata.as_ref().filter(|_| pipeline.success);
    json!({
        "id": stage.id.as_str(),
        "type": stage.name,
        "success": stage.success,
        "error": stage_error(stage),
        "output": stage.whole_output(),
        "metadata": metadata,
    })
}

#[cfg(test)]
mod tests;
