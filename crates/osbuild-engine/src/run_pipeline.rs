//! Builds one tree, stage after stage.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use osbuild_manifest::manifest::{Manifest, Pipeline, StageId};
use osbuild_sandbox::build_root::Program;
use osbuild_store::TreeBuilder;

use crate::build_root::BuildRoot;
use crate::event::Event;
use crate::growing_tree::GrowingTree;
use crate::outcome::{Ending, FailedTree, PipelineOutcome};
use crate::plan::Step;
use crate::run_stage::{BuildContext, StageRun, run_stage};
use crate::schedule::EventSender;
use crate::stage_log;
use crate::step_cache::{HeldSteps, StepCache};

/// Tells which results are to be kept beyond this run.
pub(crate) type Checkpoints = std::collections::BTreeSet<StageId>;

/// What all pipelines of a build have in common.
pub(crate) struct PipelineContext<'a> {
    pub(crate) build: &'a BuildContext<'a>,
    pub(crate) manifest: &'a Manifest,
    pub(crate) checkpoints: &'a Checkpoints,
    /// Keeps results unasked; none if that is not wanted.
    pub(crate) steps: Option<&'a StepCache<'a>>,
    pub(crate) held: &'a HeldSteps,
    /// Whether what a failed stage leaves is kept to be looked at.
    pub(crate) keeps_failed_trees: bool,
    pub(crate) logs: &'a Path,
}

/// Builds the tree of a step.
pub(crate) fn run_pipeline(
    context: &PipelineContext<'_>,
    step: &Step,
    events: &EventSender,
) -> Result<PipelineOutcome> {
    let pipeline = &context.manifest.pipelines[step.pipeline];
    events.send(Event::PipelineStarted {
        pipeline: step.pipeline,
        reused_stages: step.first_stage,
    });
    let outcome = build_tree(context, pipeline, step, events)
        .with_context(|| format!("building pipeline `{}`", pipeline.name));
    events.send(Event::PipelineFinished {
        pipeline: step.pipeline,
        success: outcome.as_ref().is_ok_and(|outcome| outcome.success),
    });
    outcome
}

fn build_tree(
    context: &PipelineContext<'_>,
    pipeline: &Pipeline,
    step: &Step,
    events: &EventSender,
) -> Result<PipelineOutcome> {
    let mut outcome = PipelineOutcome {
        pipeline: step.pipeline,
        stages: Vec::new(),
        success: true,
        failed_tree: None,
    };
    let root = build_root_of(context.build, pipeline)?;
    let builder = begin_tree(context, pipeline, step)?.with_epoch(pipeline.source_epoch);
    let mut tree = GrowingTree::new(context.steps, step, builder);
    let logs = stage_log::directory_name(&pipeline.name, step.pipeline);
    let logs = context.logs.join(logs);
    for (index, stage) in pipeline.stages.iter().enumerate().skip(step.first_stage) {
        tree.prepare_for(stage)?;
        let open = tree.builder()?.write()?;
        let run = StageRun {
            pipeline,
            pipeline_index: step.pipeline,
            stage,
            stage_index: index,
            root: &root,
            tree: open.path(),
            logs: &logs,
        };
        let result = run_stage(context.build, &run, events)?;
        drop(open);
        if let (Some(metadata), true) = (&result.metadata, result.success) {
            tree.builder()?
                .write_metadata(stage.id.as_str(), metadata)?;
        }
        if context.keeps_failed_trees && !result.success && result.ending != Ending::Cancelled {
            outcome.failed_tree = Some(keep_failed(tree.builder()?, &stage.id));
        }
        outcome.success = result.success;
        let duration = result.duration;
        outcome.stages.push(result);
        if !outcome.success {
            tree.keep_what_was_before()?;
            return Ok(outcome);
        }
        let next = pipeline.stages.get(index + 1);
        if next.is_some() && context.checkpoints.contains(&stage.id) {
            tree.builder()?.checkpoint(stage.id.as_str())?;
        }
        tree.add(duration, next)?;
    }
    finish_tree(context, pipeline, tree)?;
    Ok(outcome)
}

/// Keeps what a failed stage left. That this fails is not to hide why the stage did.
fn keep_failed(builder: &TreeBuilder, id: &StageId) -> FailedTree {
    match builder.keep_failed(id.as_str()) {
        Ok(Some(place)) => FailedTree::Kept(place),
        Ok(None) => FailedTree::Lost("the store has no room for it".to_owned()),
        Err(error) => FailedTree::Lost(format!("{error:#}")),
    }
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
fn begin_tree(
    context: &PipelineContext<'_>,
    pipeline: &Pipeline,
    step: &Step,
) -> Result<TreeBuilder> {
    let Some(last_reused) = step.first_stage.checked_sub(1) else {
        return context.build.store.new_tree();
    };
    let id = pipeline.stages[last_reused].id.as_str();
    let base = match context.held.get(step.pipeline, last_reused) {
        Some(held) => Some(Arc::clone(held)),
        None => context.build.objects.get(id)?,
    };
    let base = base.with_context(|| format!("the result {id} is no longer in the store"))?;
    context.build.store.new_tree_from(&base)
}

/// Makes the tree available to the pipelines that need it, and keeps it.
fn finish_tree(
    context: &PipelineContext<'_>,
    pipeline: &Pipeline,
    tree: GrowingTree<'_>,
) -> Result<()> {
    let Some(id) = pipeline.id() else {
        return Ok(());
    };
    let object = if context.checkpoints.contains(id) {
        tree.into_builder()?.commit(id.as_str())?
    } else {
        tree.finish(id.as_str())?
    };
    context.build.objects.add(id.as_str(), &Arc::new(object));
    Ok(())
}
