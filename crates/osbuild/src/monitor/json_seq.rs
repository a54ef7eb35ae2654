//! `JSONSeqMonitor`: one JSON record for each thing that happens, in upstream's form.

use std::borrow::Cow;
use std::collections::BTreeMap;

use osbuild_engine::event::{Event, Observer};
use osbuild_engine::outcome::{SourceOutcome, StageOutcome};
use osbuild_manifest::manifest::{Manifest, Pipeline, Source, Stage};
use osbuild_manifest::value::{Object, Value};

use super::Paper;
use super::context::{Context, ContextHistory, Subject};
use super::json_record::{Record, timestamp};
use super::lossy_decoder::LossyDecoder;
use crate::report::stage_error::stage_error;

/// Characters of a stage's output, and of the results of a source, that go into one record: readers that take records
/// by lines give up on long ones.
pub(crate) const MAXIMUM_RECORD: usize = 31_000;

/// Origin of what the command line says.
const COMMAND_LINE: &str = "osbuild.main_cli";
/// Origin of what the monitor says itself.
const MONITOR: &str = "osbuild.monitor";
/// Origin of what services on the host say.
const SERVICES: &str = "org.osbuild";

/// Writes what upstream's monitor of the same name writes.
///
/// Pipelines that run side by side are told as it happens: every record has the context and the progress of its own
/// pipeline.
pub(crate) struct JsonSeqMonitor {
    paper: Paper,
    /// The manifest as the user called it.
    path: String,
    history: ContextHistory,
    /// The pipeline and the stage last begun, whether they still run or not.
    last: Context,
    running: BTreeMap<usize, Running>,
    /// Sources and pipelines that are done, and all there are to do.
    done: usize,
    total: usize,
}

/// A pipeline that is being built.
struct Running {
    context: Context,
    name: String,
    stages: usize,
    stages_done: usize,
    decoder: LossyDecoder,
}

impl JsonSeqMonitor {
    pub(crate) fn new(paper: Paper, path: &str) -> Self {
        Self {
            paper,
            path: path.to_owned(),
            history: ContextHistory::default(),
            last: Context::default(),
            running: BTreeMap::new(),
            done: 0,
            total: 0,
        }
    }

    /// Writes a record about a pipeline, or about what was begun last if none is given.
    fn write(&mut self, origin: &str, pipeline: Option<usize>, record: Record) {
        let running = pipeline.and_then(|pipeline| self.running.get(&pipeline));
        let context = running.map_or(&self.last, |running| &running.context);
        let record = Record {
            context: self.history.tell(origin, context),
            progress: self.progress(running),
            ..record
        };
        self.paper.write(&record.into_text(timestamp()));
    }

    fn log(&mut self, origin: &str, pipeline: Option<usize>, message: &str) {
        let record = Record {
            message: Value::from(message),
            ..Record::default()
        };
        self.write(origin, pipeline, record);
    }

    fn progress(&self, running: Option<&Running>) -> Object {
        let mut progress = steps("pipelines/sources", self.total, self.done);
        // A pipeline without stages has no progress of its own.
        if let Some(running) = running.filter(|running| running.stages > 0) {
            let name = format!("pipeline: {}", running.name);
            let inner = steps(&name, running.stages, running.stages_done);
            progress.insert("progress", Value::Object(inner));
        }
        progress
    }

    fn source_started(&mut self, source: &Source) {
        let name = format!("source {}", source.name);
        self.last.pipeline = Some(Subject {
            name: name.clone(),
            id: Some(source.id.clone()),
        });
        self.log(MONITOR, None, &format!("Starting pipeline {name}"));
    }

    fn source_finished(&mut self, source: &Source, outcome: &SourceOutcome) {
        let record = Record {
            message: Value::from(format!("Finished module source {}", source.name)),
            result: source_result(source, outcome),
            ..Record::default()
        };
        self.write(MONITOR, None, record);
        self.done += 1;
        self.log(MONITOR, None, &format!("Finished pipeline {}", source.name));
    }

    fn pipeline_started(&mut self, index: usize, pipeline: &Pipeline) {
        self.last.pipeline = Some(Subject {
            name: pipeline.name.clone(),
            id: pipeline.id().map(|id| id.as_str().to_owned()),
        });
        let running = Running {
            context: self.last.clone(),
            name: pipeline.name.clone(),
            stages: pipeline.stages.len(),
            stages_done: 0,
            decoder: LossyDecoder::default(),
        };
        self.running.insert(index, running);
        self.log(
            MONITOR,
            Some(index),
            &format!("Starting pipeline {}", pipeline.name),
        );
    }

    fn stage_started(&mut self, pipeline: usize, stage: &Stage) {
        if let Some(running) = self.running.get_mut(&pipeline) {
            running.decoder = LossyDecoder::default();
            running.context.stage = Some(Subject {
                name: stage.name.clone(),
                id: Some(stage.id.as_str().to_owned()),
            });
            self.last = running.context.clone();
        }
        self.log(
            MONITOR,
            Some(pipeline),
            &format!("Starting module {}", stage.name),
        );
    }

    fn stage_output(&mut self, pipeline: usize, stage: &Stage, bytes: &[u8]) {
        let Some(running) = self.running.get_mut(&pipeline) else {
            return;
        };
        let text = running.decoder.decode(bytes);
        if !text.is_empty() {
            self.log(&origin_of(stage), Some(pipeline), &text);
        }
    }

    fn stage_finished(&mut self, pipeline: usize, stage: &Stage, outcome: &StageOutcome) {
        let rest = match self.running.get_mut(&pipeline) {
            Some(running) => running.decoder.finish(),
            None => "",
        };
        // Upstream ends every stage's output with what is left, which is nothing.
        self.log(&origin_of(stage), Some(pipeline), rest);
        if let Some(running) = self.running.get_mut(&pipeline) {
            running.stages_done += 1;
        }
        let record = Record {
            message: Value::from(format!("Finished module {}", stage.name)),
            result: stage_result(outcome),
            options: stage.options.clone(),
            duration: Some(outcome.duration.as_secs_f64()),
            metadata: outcome
                .metadata
                .as_ref()
                .map_or(Value::Null, Value::from_serde),
            ..Record::default()
        };
        self.write(MONITOR, Some(pipeline), record);
    }

    fn pipeline_finished(&mut self, index: usize, pipeline: &Pipeline) {
        self.done += 1;
        if let Some(running) = self.running.get_mut(&index) {
            running.stages = 0;
        }
        self.log(
            MONITOR,
            Some(index),
            &format!("Finished pipeline {}", pipeline.name),
        );
        self.running.remove(&index);
    }
}

impl Observer for JsonSeqMonitor {
    fn event(&mut self, manifest: &Manifest, event: &Event) {
        let stage_of = |pipeline: usize, stage: usize| &manifest.pipelines[pipeline].stages[stage];
        match event {
            Event::BuildStarted { pipelines } => {
                self.total = manifest.sources.len() + pipelines;
                let text = format!("starting {}", self.path);
                self.log(COMMAND_LINE, None, &text);
            }
            Event::SourceStarted { source } => self.source_started(&manifest.sources[*source]),
            Event::SourceLog { source, line, .. } => {
                let name = &manifest.sources[*source].name;
                let text = format!("source/{name} ({name}): {line}\n");
                self.log(SERVICES, None, &text);
            }
            Event::SourceFinished { source, outcome } => {
                self.source_finished(&manifest.sources[*source], outcome);
            }
            Event::PipelineStarted { pipeline, .. } => {
                self.pipeline_started(*pipeline, &manifest.pipelines[*pipeline]);
            }
            Event::StageStarted { pipeline, stage } => {
                self.stage_started(*pipeline, stage_of(*pipeline, *stage));
            }
            Event::StageOutput {
                pipeline,
                stage,
                bytes,
            } => self.stage_output(*pipeline, stage_of(*pipeline, *stage), bytes),
            Event::StageFinished {
                pipeline,
                stage,
                outcome,
            } => self.stage_finished(*pipeline, stage_of(*pipeline, *stage), outcome),
            Event::ServiceLog { pipeline, line, .. } => {
                self.log(SERVICES, Some(*pipeline), &format!("{line}\n"));
            }
            Event::PipelineFinished { pipeline, .. } => {
                self.pipeline_finished(*pipeline, &manifest.pipelines[*pipeline]);
            }
            Event::BuildFinished { success } => {
                let ending = super::ending(*success);
                let text = format!("manifest {} {ending}\n", self.path);
                self.log(COMMAND_LINE, None, &text);
            }
            Event::SpaceIsShort { .. } | Event::SourceProgress { .. } => {}
        }
    }
}

fn steps(name: &str, total: usize, done: usize) -> Object {
    [
        ("name", Value::from(name)),
        ("total", Value::from(total as u64)),
        ("done", Value::from(done as u64)),
    ]
    .into_iter()
    .collect()
}

fn origin_of(stage: &Stage) -> String {
    format!("stages/{}", stage.name)
}

fn stage_result(outcome: &StageOutcome) -> Value {
    object([
        ("name", Value::from(outcome.name.as_str())),
        ("id", Value::from(outcome.id.as_str())),
        ("success", Value::from(outcome.success)),
        (
            "output",
            Value::from(shortened(&outcome.whole_output()).as_ref()),
        ),
        ("error", Value::from_serde(&stage_error(outcome))),
    ])
}

/// Cuts output down to its last [`MAXIMUM_RECORD`] characters, and says how many are missing.
pub(crate) fn shortened(output: &str) -> Cow<'_, str> {
    let length = output.chars().count();
    let Some(removed) = length.checked_sub(MAXIMUM_RECORD).filter(|more| *more > 0) else {
        return Cow::Borrowed(output);
    };
    let start = output
        .char_indices()
        .nth(removed)
        .map_or(output.len(), |(start, _)| start);
    Cow::Owned(format!(
        "[...{removed} bytes hidden...]\n{}",
        &output[start..]
    ))
}

fn source_result(source: &Source, outcome: &SourceOutcome) -> Value {
    let name = format!("source {}", source.name);
    let output = if outcome.success {
        format!("{name} finished successfully")
    } else {
        let last = outcome.results.last();
        let error = last.and_then(|result| result.error.as_deref());
        let error = error.unwrap_or_default();
        format!("{name} finished unsuccessfully: {error}")
    };
    let with_results = |results| {
        object([
            ("name", Value::from(name.as_str())),
            ("source_type", Value::from(source.name.as_str())),
            ("success", Value::from(outcome.success)),
            ("output", Value::from(output.as_str())),
            ("results", Value::from(results)),
        ])
    };
    let whole = with_results(item_results(outcome));
    if whole.to_python_json().len() > MAXIMUM_RECORD {
        with_results(Vec::new())
    } else {
        whole
    }
}

fn item_results(outcome: &SourceOutcome) -> Vec<Value> {
    let item = |result: &osbuild_engine::outcome::SourceResult| {
        let mut metadata = Object::new();
        if let Some(checksum) = &result.checksum {
            metadata.insert("checksum", Value::from(checksum.as_str()));
        }
        if let Some(cached) = result.cached {
            metadata.insert("cached", Value::from(cached));
        }
        object([
            ("success", Value::from(result.error.is_none())),
            ("metadata", Value::Object(metadata)),
            (
                "error",
                Value::from(result.error.as_deref().unwrap_or_default()),
            ),
        ])
    };
    outcome.results.iter().map(item).collect()
}

fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Object(entries.into_iter().collect())
}

#[cfg(test)]
mod tests;
