//! The tree of a pipeline while its stages run, and what of it is kept on the way.
//!
//! | after a stage | what happens |
//! |---|---|
//! | that failed | its changes are taken back, and the tree before it is kept: the next build goes on there |
//! | when keeping costs less than what it saves | the tree is kept as a step |
//! | otherwise | the changes are sealed, so that those of the next stage can be taken back |
//! | before one that works on devices | nothing: its devices are files of the tree, which would be copied as a whole |
//! | the last | the tree is kept as a step |

use std::time::Duration;

use anyhow::{Context as _, Result};
use osbuild_manifest::manifest::Stage;
use osbuild_store::{Object, TreeBuilder};

use crate::plan::Step;
use crate::step_cache::StepCache;

/// Stages that write what an overlay does not let anyone write: container storage has whiteouts in it.
const NEEDS_PLAIN_TREE: [&str; 2] = ["org.osbuild.skopeo", "org.osbuild.container-deploy"];

/// A tree and how far it is.
pub(crate) struct GrowingTree<'a> {
    steps: Option<&'a StepCache<'a>>,
    pipeline: usize,
    /// There but for the moments in which it changes its form.
    builder: Option<TreeBuilder>,
    /// The first stage that is not in a step.
    since: usize,
    /// The stage that runs next.
    next: usize,
    /// What the stages took that are not in a step.
    elapsed: Duration,
    /// Whether the next stage's changes can be taken back.
    is_sealed: bool,
}

impl<'a> GrowingTree<'a> {
    /// Takes a tree as it is before the first stage of a step.
    pub(crate) fn new(steps: Option<&'a StepCache<'a>>, step: &Step, builder: TreeBuilder) -> Self {
        Self {
            steps,
            pipeline: step.pipeline,
            builder: Some(builder),
            since: step.first_stage,
            next: step.first_stage,
            elapsed: Duration::ZERO,
            is_sealed: false,
        }
    }

    /// Gives the tree to work on.
    pub(crate) fn builder(&self) -> Result<&TreeBuilder> {
        self.builder.as_ref().context("the tree is lost")
    }

    pub(crate) fn into_builder(self) -> Result<TreeBuilder> {
        self.builder.context("the tree is lost")
    }

    /// Gives the tree the form that a stage needs.
    pub(crate) fn prepare_for(&mut self, stage: &Stage) -> Result<()> {
        if NEEDS_PLAIN_TREE.contains(&stage.name.as_str()) {
            let builder = self.builder.as_mut().context("the tree is lost")?;
            builder.make_plain()?;
            self.is_sealed = false;
        }
        Ok(())
    }

    /// Notes that a stage succeeded; `next` is the one after it, if there is one.
    pub(crate) fn add(&mut self, duration: Duration, next: Option<&Stage>) -> Result<()> {
        self.next += 1;
        self.elapsed += duration;
        let (Some(steps), Some(next)) = (self.steps, next) else {
            return Ok(());
        };
        self.is_sealed = false;
        if !next.devices.is_empty() {
            return Ok(());
        }
        // Without overlays, finding out what keeping costs takes a walk through the tree.
        let is_worth = |cost| StepCache::is_worth_keeping(self.elapsed, cost);
        if is_worth(Duration::ZERO) && is_worth(self.builder()?.storing_cost()?) {
            let builder = self.take_builder()?;
            let step = steps.description(self.pipeline, self.since, self.next - 1, self.elapsed);
            let stored = builder.store_step(step.key, &step.record, &step.parts)?;
            self.builder = Some(stored);
            self.since = self.next;
            self.elapsed = Duration::ZERO;
            // A tree that starts from a step has nothing in it that is not in the step.
            self.is_sealed = true;
        } else {
            let builder = self.builder.as_mut().context("the tree is lost")?;
            self.is_sealed = builder.seal()?;
        }
        Ok(())
    }

    /// Keeps the tree as it was before the stage that failed, if its changes can be taken back.
    pub(crate) fn keep_what_was_before(mut self) -> Result<()> {
        let Some(steps) = self.steps else {
            return Ok(());
        };
        if self.next == self.since || !self.is_sealed {
            return Ok(());
        }
        let mut builder = self.take_builder()?;
        if builder.roll_back()? {
            let step = steps.description(self.pipeline, self.since, self.next - 1, self.elapsed);
            builder.finish_step(step.key, &step.record, &step.parts)?;
        }
        Ok(())
    }

    /// Ends the work on the tree, and keeps it if steps are kept.
    pub(crate) fn finish(mut self, id: &str) -> Result<Object> {
        let builder = self.take_builder()?;
        let Some(steps) = self.steps else {
            return builder.keep_floating(id);
        };
        let Some(last) = self.next.checked_sub(1) else {
            return builder.keep_floating(id);
        };
        let step = steps.description(self.pipeline, self.since.min(last), last, self.elapsed);
        builder.finish_step(step.key, &step.record, &step.parts)
    }

    fn take_builder(&mut self) -> Result<TreeBuilder> {
        self.builder.take().context("the tree is lost")
    }
}
