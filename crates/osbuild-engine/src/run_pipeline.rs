//! Builds one tree, stage after stage.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use osbuild_manifest::manifest::{Manifest, Pipeline, StageId};
use osbuild_sandbox::build_root::Program;
use osbuild_store::TreeBuilder;

use crate::build_root::BuildRoot;
use crate::event::Event;
use crate::outcome::PipelineOutcome;
use crate::plan::Step;
use crate::run_stage::{BuildContext, StageRun, run_stage};
use crate::schedule::EventSender;
use crate::stage_log;

/// Tells which results are to be kept beyond this run.
pub(crate) type Checkpoints = std::collections::BTreeSet<StageId>;

/// Builds the tree of a step.
pub(crate) fn run_pipeline(
    context: &BuildContext<'_>,
    manifest: &Manifest,
    step: &Step,
    checkpoints: &Checkpoints,
    logs: &Path,
    events: &EventSender,
) -> Result<PipelineOutcome> {
    let pipeline = &manifest.pipelines[step.pipeline];
    events.send(Event::PipelineStarted {
        pipeline: step.pipeline,
        reused_stages: step.first_stage,
    });
    let outcome = build_tree(context, pipeline, step, checkpoints, logs, events)
        .with_context(|| format!("building pipeline `{}`", pipeline.name));
    events.send(Event::PipelineFinished {
        pipeline: step.pipeline,
        success: outcome.as_ref().is_ok_and(|outcome| outcome.success),
    });
    outcome
}

fn build_tree(
    context: &BuildContext<'_>,
    pipeline: &Pipeline,
    step: &Step,
    checkpoints: &Checkpoints,
    logs: &Path,
    events: &EventSender,
) -> Result<PipelineOutcome> {
    let mut outcome = PipelineOutcome {
        pipeline: step.pipeline,
        stages: Vec::new(),
        success: true,
    };
    let root = build_root_of(context, pipeline)?;
    let builder = begin_tree(context, pipeline, step)?.with_epoch(pipeline.source_epoch);
    let tree = builder.tree();
    let logs = logs.join(stage_log::directory_name(&pipeline.name, step.pipeline));
    for (index, stage) in pipeline.stages.iter().enumerate().skip(step.first_stage) {
        let run = StageRun {
            pipeline,
            pipeline_index: step.pipeline,
            stage,
            stage_index: index,
            root: &root,
            tree: &tree,
            logs: &logs,
        };
        let result = run_stage(context, &run, events)?;
        if let Some(metadata) = &result.metadata {
            builder.write_metadata(stage.id.as_str(), metadata)?;
        }
        outcome.success = result.success;
        outcome.stages.push(result);
        if !outcome.success {
            return Ok(outcome);
        }
        let is_last = index + 1 == pipeline.stages.len();
        if !is_last && checkpoints.contains(&stage.id) {
            builder.checkpoint(stage.id.as_str())?;
        }
    }
    finish_tree(context, pipeline, builder, checkpoints)?;
    Ok(outcome)
}

/// Gives the prepared build root of a pipeline; the first to ask prepares it.
fn build_root_of(context: &BuildContext<'_>, pipeline: &Pipeline) -> Result<Arc<BuildRoot>> {
    let id = pipeline.build.as_ref().map(StageId::as_str);
    let runner = context.catalog.foreign_runner(&pipeline.runner);
    context.roots.get(id, runner.as_deref(), || {
        let object = match id {
            Some(id) => Some(
                context
                    .objects
                    .get(id)?
                    .with_context(|| format!("the build tree {id} is not there"))?,
            ),
            None => None,
        };
        let runner = runner.clone().map(|path| Program {
            name: pipeline.runner.file_name.clone(),
            path,
        });
        BuildRoot::prepare(context.store, context.share, object, runner, context.cancel)
    })
}

/// Begins with an empty tree, or with the last result that is in the store.
fn begin_tree(context: &BuildContext<'_>, pipeline: &Pipeline, step: &Step) -> Result<TreeBuilder> {
    let Some(last_reused) = step.first_stage.checked_sub(1) else {
        return context.store.new_tree();
    };
    let id = pipeline.stages[last_reused].id.as_str();
    let base = context
        .objects
        .get(id)?
        .with_context(|| format!("the result {id} is no longer in the store"))?;
    context.store.new_tree_from(&base)
}

/// Makes the tree available to the pipelines that need it, and keeps it if that was asked for.
fn finish_tree(
    context: &BuildContext<'_>,
    pipeline: &Pipeline,
    builder: TreeBuilder,
    checkpoints: &Checkpoints,
) -> Result<()> {
    let Some(id) = pipeline.id() else {
        return Ok(());
    };
    let object = if checkpoints.contains(id) {
        builder.commit(id.as_str())?
    } else {
        builder.keep_floating(id.as_str())?
    };
    context.objects.add(id.as_str(), &Arc::new(object));
    Ok(())
}
