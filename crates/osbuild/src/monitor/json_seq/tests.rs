//! Whole streams. `one_after_another.jsonl` is what upstream's monitor, version 191, wrote when it was told the same.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use osbuild_engine::module_catalog::ModuleCatalog;
use osbuild_engine::outcome::{Ending, SourceResult};
use osbuild_manifest::resolve::resolve;
use serde_json::json;

use super::*;
use crate::monitor::test_paper::TestPaper;

const MANIFEST: &str = r#"{"version": "2",
    "sources": {"org.osbuild.inline": {"items": {"sha256:00": {"encoding": "base64", "data": ""}}}},
    "pipelines": [
        {"name": "one", "stages": [{"type": "org.osbuild.noop", "options": {"a": {"b": "", "c": null}, "d": [""]}}]},
        {"name": "two", "stages": [{"type": "org.osbuild.noop"}, {"type": "org.osbuild.error"}]}]}"#;

fn manifest() -> Manifest {
    let value = Value::from_json(MANIFEST).unwrap();
    resolve(&value, &ModuleCatalog::built_in(), "org.osbuild.linux").unwrap()
}

/// Gives what the monitor writes of these events, a record on each line, without the times.
fn written(manifest: &Manifest, events: Vec<Event>) -> String {
    let paper = TestPaper::default();
    let mut monitor = JsonSeqMonitor::new(Paper::plain(Box::new(paper.clone())), "m.json");
    for event in events {
        monitor.event(manifest, &event);
    }
    let text = paper.text();
    let records = text.split_terminator('\n').map(|record| {
        let record = record.strip_prefix('\x1e').expect("a separator is first");
        let mut record = Value::from_json(record).unwrap();
        let entries = record.as_object_mut().unwrap();
        assert!(entries.remove("timestamp").is_some());
        record.to_python_json() + "\n"
    });
    records.collect()
}

fn source_events(results: Vec<SourceResult>) -> Vec<Event> {
    let outcome = SourceOutcome {
        source: 0,
        source_type: "org.osbuild.files".to_owned(),
        success: results.iter().all(|result| result.error.is_none()),
        results,
    };
    vec![
        Event::SourceStarted { source: 0 },
        Event::SourceLog {
            source: 0,
            line: "Downloaded it".to_owned(),
            is_warning: false,
        },
        Event::SourceFinished {
            source: 0,
            outcome: Arc::new(outcome),
        },
    ]
}

fn fetched() -> SourceResult {
    SourceResult {
        checksum: Some("sha256:00".to_owned()),
        cached: Some(false),
        error: None,
    }
}

fn begun(pipeline: usize) -> Event {
    Event::PipelineStarted {
        pipeline,
        reused_stages: 0,
    }
}

fn ended(pipeline: usize) -> Event {
    Event::PipelineFinished {
        pipeline,
        success: true,
    }
}

fn output(pipeline: usize, stage: usize, bytes: &[u8]) -> Event {
    Event::StageOutput {
        pipeline,
        stage,
        bytes: bytes.to_vec(),
    }
}

fn finished(manifest: &Manifest, pipeline: usize, stage: usize, output: &str) -> Event {
    let of_manifest = &manifest.pipelines[pipeline].stages[stage];
    let success = of_manifest.name == "org.osbuild.noop";
    let error =
        json!({"type": "exception", "data": {"type": "OSError", "value": "no", "traceback": ""}});
    let outcome = StageOutcome {
        stage,
        id: of_manifest.id.clone(),
        name: of_manifest.name.clone(),
        success,
        ending: Ending::Exited {
            status: i32::from(!success),
        },
        output: output.to_owned(),
        error: (!success).then_some(error),
        metadata: success.then(|| json!({"left": 1})),
        duration: Duration::from_millis(250),
        free_bytes: None,
        earlier_output: 0,
        log: PathBuf::new(),
    };
    Event::StageFinished {
        pipeline,
        stage,
        outcome: Arc::new(outcome),
    }
}

#[test]
fn one_after_another_is_told_as_upstream_tells_it() {
    let manifest = manifest();
    let mut events = vec![Event::BuildStarted { pipelines: 2 }];
    events.extend(source_events(vec![fetched()]));
    events.extend([
        begun(0),
        Event::StageStarted {
            pipeline: 0,
            stage: 0,
        },
        output(0, 0, b"gr\xc3"),
        output(0, 0, b"\xbc\n"),
        finished(&manifest, 0, 0, "gr\u{fc}\n"),
        ended(0),
        begun(1),
        Event::StageStarted {
            pipeline: 1,
            stage: 0,
        },
        finished(&manifest, 1, 0, ""),
        Event::StageStarted {
            pipeline: 1,
            stage: 1,
        },
        output(1, 1, b"bad\n"),
        finished(&manifest, 1, 1, "bad\n"),
        ended(1),
        Event::BuildFinished { success: false },
    ]);
    let golden = include_str!("one_after_another.jsonl");
    assert_eq!(written(&manifest, events), golden);
}

/// Every record is about its own pipeline, whatever the others do meanwhile.
#[test]
fn side_by_side_contexts_and_progress_are_not_mixed_up() {
    let manifest = manifest();
    let text = written(
        &manifest,
        vec![
            Event::BuildStarted { pipelines: 2 },
            begun(0),
            begun(1),
            Event::StageStarted {
                pipeline: 1,
                stage: 0,
            },
            Event::StageStarted {
                pipeline: 0,
                stage: 0,
            },
            output(1, 0, b"of two\xe2\x82"),
            output(0, 0, b"of one\n"),
            output(1, 0, b"\xac\n"),
            finished(&manifest, 1, 0, "of two\u{20ac}\n"),
            finished(&manifest, 0, 0, "of one\n"),
            ended(0),
            ended(1),
        ],
    );
    let mut contexts = std::collections::BTreeMap::new();
    let told: Vec<String> = text
        .lines()
        .map(|line| {
            let record = Value::from_json(line).unwrap();
            let context = record.get("context").unwrap();
            let id = context
                .get("id")
                .and_then(Value::as_str)
                .unwrap()
                .to_owned();
            let full = contexts.entry(id).or_insert_with(|| context.clone());
            let word = |value: Option<&Value>| {
                let name = value.and_then(|value| value.get("name"));
                name.and_then(Value::as_str).unwrap_or("-").to_owned()
            };
            let pipeline = full.get("pipeline");
            let inner = record
                .get("progress")
                .and_then(|outer| outer.get("progress"));
            let done = inner.and_then(|inner| inner.get("done")?.as_i64());
            format!(
                "{} | {} | {} | {} {}",
                record
                    .get("message")
                    .and_then(Value::as_str)
                    .unwrap_or("")
                    .trim_end(),
                word(pipeline),
                word(pipeline.and_then(|pipeline| pipeline.get("stage"))),
                word(inner),
                done.map_or("-".to_owned(), |done| done.to_string()),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "starting m.json | - | - | - -",
            "Starting pipeline one | one | - | pipeline: one 0",
            "Starting pipeline two | two | - | pipeline: two 0",
            "Starting module org.osbuild.noop | two | org.osbuild.noop | pipeline: two 0",
            "Starting module org.osbuild.noop | one | org.osbuild.noop | pipeline: one 0",
            "of two | two | org.osbuild.noop | pipeline: two 0",
            "of one | one | org.osbuild.noop | pipeline: one 0",
            "\u{20ac} | two | org.osbuild.noop | pipeline: two 0",
            " | two | org.osbuild.noop | pipeline: two 0",
            "Finished module org.osbuild.noop | two | org.osbuild.noop | pipeline: two 1",
            " | one | org.osbuild.noop | pipeline: one 0",
            "Finished module org.osbuild.noop | one | org.osbuild.noop | pipeline: one 1",
            "Finished pipeline one | one | org.osbuild.noop | - -",
            "Finished pipeline two | two | org.osbuild.noop | - -",
        ]
    );
}

#[test]
fn long_output_is_cut_at_the_beginning_by_characters() {
    assert_eq!(shortened(&"\u{fc}".repeat(31_000)).chars().count(), 31_000);
    let text = format!("{}{}", "ab", "\u{fc}".repeat(31_000));
    let cut = shortened(&text);
    let rest = cut.strip_prefix("[...2 bytes hidden...]\n").unwrap();
    assert_eq!(rest, "\u{fc}".repeat(31_000));
}

#[test]
fn results_of_a_source_are_left_out_when_they_are_long() {
    let manifest = manifest();
    let failed = SourceResult {
        error: Some("x".repeat(16_000)),
        ..fetched()
    };
    let results = |results| {
        let text = written(&manifest, source_events(results));
        let record = text.lines().nth(2).unwrap();
        let record = Value::from_json(record).unwrap();
        let result = record.get("result").unwrap();
        let count = result
            .get("results")
            .and_then(Value::as_array)
            .unwrap()
            .len();
        let output = result.get("output").and_then(Value::as_str).unwrap();
        assert!(output.starts_with("source org.osbuild.inline finished unsuccessfully: xxx"));
        count
    };
    // The error of the last item is in `output`, too.
    let short = SourceResult {
        error: Some("xxx".to_owned()),
        ..fetched()
    };
    assert_eq!(results(vec![failed.clone(), short.clone()]), 2);
    assert_eq!(results(vec![failed.clone(), failed, short]), 0);
}
