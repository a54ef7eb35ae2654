//! Which results of stages are used again, and which are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use osbuild_manifest::checkpoint::matches_pattern;
use osbuild_manifest::manifest::{Manifest, Pipeline};
use osbuild_store::{Object, StepRecord, Store};
use serde_json::{Value, json};

use crate::cache_key::{Keys, keys};
use crate::code_digest::CodeDigests;
use crate::module_catalog::ModuleCatalog;
use crate::plan::{CacheIndex, Plan, depends_on};
use crate::program_digest;

/// Stages that took less than this together, since the last result that was kept, are rather run again.
const WORTH_KEEPING: Duration = Duration::from_millis(250);

/// How a build uses results that nobody asked to keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StepPolicy {
    /// Neither used nor kept.
    #[default]
    Off,
    /// Used and kept.
    On {
        /// Run anew all that comes after the stages of this name or id (a shell pattern).
        from: Option<String>,
    },
}

/// The steps of one manifest.
pub(crate) struct StepCache<'a> {
    store: &'a Store,
    manifest: &'a Manifest,
    pub(crate) keys: Keys,
    /// The first stage of each pipeline whose result is not to be taken from the store.
    forced: BTreeMap<usize, usize>,
}

impl<'a> StepCache<'a> {
    /// Computes the keys of a manifest. `program` is this program.
    ///
    /// # Errors
    /// No stage matches the pattern of the policy, or a module can not be read.
    pub(crate) fn new(
        store: &'a Store,
        manifest: &'a Manifest,
        catalog: &ModuleCatalog,
        program: &Path,
        from: Option<&str>,
    ) -> Result<Self> {
        let forced = match from {
            Some(pattern) => forced_by(manifest, pattern)?,
            None => BTreeMap::new(),
        };
        let digests = CodeDigests::new(program, program_digest::noted(store, program)?);
        Ok(Self {
            store,
            manifest,
            keys: keys(manifest, catalog, &digests)?,
            forced,
        })
    }

    /// Tells whether a result is not to be used although it may be there.
    pub(crate) fn is_forced(&self, pipeline: usize, stage: usize) -> bool {
        self.forced
            .get(&pipeline)
            .is_some_and(|first| stage >= *first)
    }

    /// Opens what a plan reuses, so that it stays; none if some of it is gone since.
    pub(crate) fn hold(&self, plan: &Plan) -> Result<Option<HeldSteps>> {
        let mut held = HeldSteps::default();
        let begun = plan.steps.iter().filter_map(|step| {
            let last = step.first_stage.checked_sub(1)?;
            Some((step.pipeline, last))
        });
        let whole = plan.reused.iter().filter_map(|&pipeline| {
            let last = self.keys[pipeline].len().checked_sub(1)?;
            Some((pipeline, last))
        });
        for place in begun.chain(whole) {
            let (pipeline, stage) = place;
            match self.store.step(&self.keys[pipeline][stage].key)? {
                Some(object) => held.0.insert(place, Arc::new(object)),
                None => return Ok(None),
            };
        }
        Ok(Some(held))
    }

    /// Makes room for the results of stages that are to be run although their results are there.
    pub(crate) fn forget_forced(&self) -> Result<()> {
        for (&pipeline, &first) in &self.forced {
            for key in self.keys[pipeline].iter().skip(first) {
                self.store.forget_step(&key.key)?;
            }
        }
        Ok(())
    }

    /// Tells whether the result of stages that took `elapsed` is to be kept, if keeping it takes `cost`.
    pub(crate) fn is_worth_keeping(elapsed: Duration, cost: Duration) -> bool {
        elapsed >= WORTH_KEEPING.max(cost)
    }

    /// Describes the result of a stage for the store; `since` is the first stage that is not in the step before it.
    pub(crate) fn description(
        &self,
        pipeline: usize,
        since: usize,
        stage: usize,
        elapsed: Duration,
    ) -> StepDescription<'_> {
        let named: &Pipeline = &self.manifest.pipelines[pipeline];
        let stages: Vec<Value> = (since..=stage)
            .map(|index| {
                let key = &self.keys[pipeline][index];
                json!({
                    "pipeline": named.name,
                    "index": index,
                    "key": key.key,
                    "parts": key.parts,
                })
            })
            .collect();
        let last = &named.stages[stage];
        StepDescription {
            key: &self.keys[pipeline][stage].key,
            record: StepRecord {
                stage_id: last.id.as_str().to_owned(),
                stage_type: last.name.clone(),
                pipeline: named.name.clone(),
                seconds: elapsed.as_secs_f64(),
            },
            parts: json!({ "stages": stages }),
        }
    }
}

impl CacheIndex for StepCache<'_> {
    fn contains(&self, pipeline: usize, stage: usize) -> bool {
        !self.is_forced(pipeline, stage) && self.store.has_step(&self.keys[pipeline][stage].key)
    }
}

/// What is written beside the result of a stage.
pub(crate) struct StepDescription<'a> {
    pub(crate) key: &'a str,
    pub(crate) record: StepRecord,
    /// The parts of the keys of all stages that were run for it.
    pub(crate) parts: Value,
}

/// What a build uses again, open.
#[derive(Default)]
pub(crate) struct HeldSteps(BTreeMap<(usize, usize), Arc<Object>>);

impl HeldSteps {
    /// Gives the result of a stage.
    pub(crate) fn get(&self, pipeline: usize, stage: usize) -> Option<&Arc<Object>> {
        self.0.get(&(pipeline, stage))
    }
}

/// Finds the stages after those that match, and all stages of pipelines that need one of them.
fn forced_by(manifest: &Manifest, pattern: &str) -> Result<BTreeMap<usize, usize>> {
    let mut forced = BTreeMap::new();
    let mut is_known = false;
    for (index, pipeline) in manifest.pipelines.iter().enumerate() {
        let matched = pipeline.stages.iter().rposition(|stage| {
            matches_pattern(stage.id.as_str(), pattern) || matches_pattern(&stage.name, pattern)
        });
        is_known |= matched.is_some();
        let earlier: BTreeSet<usize> = forced.keys().copied().collect();
        if depends_on(manifest, pipeline, &earlier) {
            forced.insert(index, 0);
        } else if let Some(matched) = matched {
            forced.insert(index, matched + 1);
        }
    }
    if !is_known {
        bail!("no stage has the name or id `{pattern}`");
    }
    Ok(forced)
}
