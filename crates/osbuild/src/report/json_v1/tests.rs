//! The oddities, as upstream answered when it was asked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use osbuild_engine::module_catalog::ModuleCatalog;
use osbuild_engine::outcome::{Ending, FailedAt};
use osbuild_manifest::resolve::resolve;

use super::*;

/// A build tree, a tree of two stages, an assembler: pipelines 0, 1 and 2.
fn manifest() -> Manifest {
    let text = r#"{"pipeline": {
        "build": {"pipeline": {"stages": [{"name": "org.osbuild.noop", "options": {}}]}, "runner": "org.osbuild.linux"},
        "stages": [{"name": "org.osbuild.noop"}, {"name": "org.osbuild.error"}],
        "assembler": {"name": "org.osbuild.noop", "options": {}}}}"#;
    let value = osbuild_manifest::value::Value::from_json(text).unwrap();
    resolve(&value, &ModuleCatalog::built_in(), "org.osbuild.linux").unwrap()
}

/// Stages of a pipeline that ran, each with whether it succeeded; all of them leave metadata.
fn ran_stages(manifest: &Manifest, pipeline: usize, successes: &[bool]) -> PipelineOutcome {
    let stages = &manifest.pipelines[pipeline].stages;
    let outcome = |(stage, success): (usize, &bool)| {
        Arc::new(StageOutcome {
            stage,
            id: stages[stage].id.clone(),
            name: stages[stage].name.clone(),
            success: *success,
            ending: Ending::Exited {
                status: i32::from(!success),
            },
            output: "said\n".to_owned(),
            error: None,
            metadata: Some(json!({"left": pipeline})),
            duration: Duration::ZERO,
            free_bytes: None,
            earlier_output: 0,
            log: PathBuf::new(),
        })
    };
    PipelineOutcome {
        failed_tree: None,
        pipeline,
        stages: successes.iter().enumerate().map(outcome).collect(),
        success: successes.iter().all(|success| *success),
    }
}

fn outcome(pipelines: Vec<PipelineOutcome>, failure: Option<FailedAt>) -> Outcome {
    Outcome {
        pipelines: pipelines
            .into_iter()
            .map(|ran| (ran.pipeline, ran))
            .collect(),
        failure,
        ..Outcome::default()
    }
}

#[test]
fn a_failed_stage_counts_less_than_the_build_tree() {
    let manifest = manifest();
    let pipelines = vec![
        ran_stages(&manifest, 0, &[true]),
        ran_stages(&manifest, 1, &[true, false]),
    ];
    let failure = FailedAt::Stage {
        pipeline: 1,
        stage: 1,
    };
    let document = result_document(&manifest, &outcome(pipelines, Some(failure)));
    let [build, noop, error] = [(0, 0), (1, 0), (1, 1)]
        .map(|(pipeline, stage): (usize, usize)| &manifest.pipelines[pipeline].stages[stage].id);
    let stage = |id: &str, name: &str, success: bool, metadata: Value| json!({"id": id, "type": name, "success": success, "error": null, "output": "said\n", "metadata": metadata});
    // The tree of the failed pipeline is not there to read metadata from.
    let expected = json!({
        "success": true,
        "build": {
            "success": true,
            "stages": [stage(build.as_str(), "org.osbuild.noop", true, json!({"left": 0}))],
        },
        "stages": [
            stage(noop.as_str(), "org.osbuild.noop", true, Value::Null),
            stage(error.as_str(), "org.osbuild.error", false, Value::Null),
        ],
    });
    assert_eq!(document, expected);
    let keys: Vec<&String> = document.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["success", "build", "stages"]);
}

#[test]
fn a_failed_assembler_counts() {
    let manifest = manifest();
    let pipelines = vec![
        ran_stages(&manifest, 1, &[true, true]),
        ran_stages(&manifest, 2, &[false]),
    ];
    let failure = FailedAt::Stage {
        pipeline: 2,
        stage: 0,
    };
    let document = result_document(&manifest, &outcome(pipelines, Some(failure)));
    assert_eq!(document["success"], json!(false));
    assert_eq!(document["assembler"]["success"], json!(false));
    // Nothing of it ran now.
    assert_eq!(document["build"], json!({"success": true}));
}

#[test]
fn what_did_not_come_to_stages_counts_as_success() {
    let document = result_document(
        &manifest(),
        &outcome(Vec::new(), Some(FailedAt::Source { source: 0 })),
    );
    assert_eq!(
        document,
        json!({"success": true, "build": {"success": true}})
    );
}

#[test]
fn what_upstream_has_no_document_for_is_no_success() {
    let failure = FailedAt::Engine {
        pipeline: None,
        error: anyhow::anyhow!("the disk is on fire"),
    };
    let document = result_document(&manifest(), &outcome(Vec::new(), Some(failure)));
    assert_eq!(document["success"], json!(false));
}
