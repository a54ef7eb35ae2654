//! Carries a build out: sources, pipelines side by side after them or meanwhile, then exports.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use indexmap::IndexMap;
use osbuild_host_modules::ItemHints;
use osbuild_manifest::manifest::{Manifest, Origin, Pipeline, StageId, Version};
use osbuild_sandbox::CancelToken;
use osbuild_store::{Object, Store, Top};

use crate::build_root::{BuildRoots, SandboxShare};
use crate::consumers::Consumers;
use crate::event::{Event, Observer};
use crate::explain::{Explanation, explain};
use crate::export::{Use, export};
use crate::fetch_sources::{FetchContext, FetchListener, fetch_sources, tell_of_items};
use crate::forecast::Forecast;
use crate::host_services::Objects;
use crate::module_catalog::ModuleCatalog;
use crate::outcome::{FailedAt, Outcome, PipelineOutcome};
use crate::plan::{CacheIndex, Plan, Step, plan};
use crate::run_pipeline::{PipelineContext, run_pipeline};
use crate::run_stage::BuildContext;
use crate::schedule::{EventSender, Supply, Work};
use crate::shells::ShellRequest;
use crate::step_cache::{HeldSteps, StepCache, StepPolicy};
use crate::{program_digest, schedule, stage_log};

/// Where sockets are unless the caller says otherwise.
pub const DEFAULT_RUN_DIRECTORY: &str = "/run/osbuild";

/// What a build is asked to do.
#[derive(Debug)]
pub struct BuildRequest {
    /// This program, which is also every built-in module.
    pub program: PathBuf,
    /// The trees to make.
    pub exports: Vec<ExportRequest>,
    /// Results to keep in the store.
    pub checkpoints: BTreeSet<StageId>,
    /// Whether results are used again, and kept, that nobody asked to keep.
    pub steps: StepPolicy,
    /// When pipelines may start.
    pub start: Start,
    /// What is known of items of sources beyond what the manifest says.
    pub hints: ItemHints,
    /// Longest run time of a stage.
    pub stage_timeout: Option<Duration>,
    /// Pipelines that run side by side at most.
    pub jobs: NonZeroUsize,
    /// Where the sockets are that foreign modules talk through; made when the first is needed.
    pub run_directory: PathBuf,
    /// When to let the user look around in a stage's sandbox.
    pub shells: ShellRequest,
    /// Whether the tree that a failed stage leaves is kept to be looked at.
    pub keeps_failed_trees: bool,
    /// Ends the build when cancelled.
    pub cancel: CancelToken,
}

/// When a pipeline may start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// When every source has fetched all: what upstream does, and its monitors expect.
    #[default]
    AfterFetching,
    /// When the items of its own stages are in the cache. Sources of a library directory do not tell, so that a build
    /// with one of them waits for all.
    WhenSupplied,
}

/// A tree to make and hand out.
#[derive(Clone, Debug)]
pub struct ExportRequest {
    /// Name or id of the pipeline.
    pub pipeline: String,
    /// The directory that its content is copied to.
    pub destination: PathBuf,
    /// What becomes of that directory's own attributes.
    pub top: Top,
}

/// What the store has of a manifest's results, by id.
struct StoreIndex<'a> {
    store: &'a Store,
    manifest: &'a Manifest,
}

impl CacheIndex for StoreIndex<'_> {
    fn contains(&self, pipeline: usize, stage: usize) -> bool {
        let stage = &self.manifest.pipelines[pipeline].stages[stage];
        self.store.contains(stage.id.as_str())
    }
}

/// Builds a manifest.
///
/// # Errors
/// Only what leaves no outcome to report, such as an unknown export. What fails on the way is in the outcome.
pub fn build(
    manifest: &Manifest,
    request: &BuildRequest,
    store: &Store,
    catalog: &ModuleCatalog,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    let wanted: Vec<String> = request
        .exports
        .iter()
        .map(|export| export.pipeline.clone())
        .collect();
    let steps = match &request.steps {
        StepPolicy::Off => None,
        StepPolicy::On { from } => {
            program_digest::note(store, &request.program)?;
            Some(StepCache::new(
                store,
                manifest,
                catalog,
                &request.program,
                from.as_deref(),
            )?)
        }
    };
    let (plan, held) = plan_and_hold(manifest, &wanted, store, steps.as_ref())?;
    let mut outcome = Outcome::default();
    let pipelines = plan.steps.len();
    observer.event(manifest, &Event::BuildStarted { pipelines });
    let order = match &steps {
        Some(_) => foresee(manifest, &plan, store, observer),
        None => (0..plan.steps.len()).collect(),
    };
    let is_eager = request.start == Start::WhenSupplied
        && manifest.version == Version::Two
        && !plan.steps.is_empty()
        && tell_of_items(manifest, catalog);
    let fetching = FetchContext {
        store,
        catalog,
        cancel: &request.cancel,
        hints: &request.hints,
        urgency: None,
    };
    if !is_eager {
        let mut listener = ObserverOfFetching { manifest, observer };
        fetch_sources(manifest, &fetching, &mut listener, &mut outcome)?;
    }
    if outcome.success() && request.cancel.is_cancelled() {
        outcome.failure = Some(FailedAt::Interrupted);
    }
    let built = Mutex::new(IndexMap::new());
    let objects = Objects {
        store,
        built: &built,
    };
    for &pipeline in &plan.reused {
        let (pipeline_id, stages) = (
            manifest.pipelines[pipeline].id(),
            &manifest.pipelines[pipeline].stages,
        );
        if let (Some(id), Some(object)) = (
            pipeline_id,
            held.get(pipeline, stages.len().saturating_sub(1)),
        ) {
            objects.add(id.as_str(), object);
        }
    }
    let released = Mutex::new(IndexMap::new());
    if outcome.success() && !plan.steps.is_empty() {
        let share = SandboxShare::create(store, &request.program)?;
        let context = BuildContext {
            store,
            objects: Objects {
                store,
                built: &built,
            },
            share: &share,
            roots: &BuildRoots::default(),
            catalog,
            run_directory: &request.run_directory,
            shells: &request.shells,
            stage_timeout: request.stage_timeout,
            cancel: &request.cancel,
        };
        let pipelines = PipelineContext {
            build: &context,
            manifest,
            checkpoints: &request.checkpoints,
            steps: steps.as_ref(),
            held: &held,
            keeps_failed_trees: request.keeps_failed_trees,
            logs: &stage_log::new_run_directory(&store.logs_dir())?,
        };
        if let Some(steps) = &steps {
            let explanation = explain(manifest, &plan, steps, store)?;
            explanation.save(pipelines.logs)?;
            steps.forget_forced()?;
        }
        let running = Running {
            request,
            pipelines: &pipelines,
            plan: &plan,
            order: &order,
            fetching: is_eager.then_some(&fetching),
            consumers: Consumers::new(manifest, &plan)?,
            released: &released,
        };
        running.run(observer, &mut outcome)?;
    }
    let success = outcome.success();
    if !matches!(outcome.failure, Some(FailedAt::Interrupted)) {
        observer.event(manifest, &Event::BuildFinished { success });
    }
    if success {
        export_all(manifest, request, &plan, &objects)?;
        let released = released
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        outcome.metadata = collect_metadata(manifest, &objects, released)?;
    }
    if !request.cancel.is_cancelled() {
        store.record_digests()?;
    }
    Ok(outcome)
}

/// Says what a build of these exports would do, and why. `program` is this program.
///
/// # Errors
/// As for [`build`].
pub fn explain_build(
    manifest: &Manifest,
    exports: &[String],
    policy: &StepPolicy,
    program: &Path,
    store: &Store,
    catalog: &ModuleCatalog,
) -> Result<Explanation> {
    let from = match policy {
        StepPolicy::Off => None,
        StepPolicy::On { from } => from.as_deref(),
    };
    let steps = StepCache::new(store, manifest, catalog, program, from)?;
    let plan = plan(manifest, exports, &steps)?;
    explain(manifest, &plan, &steps, store)
}

/// How often to plan anew when another build removes what was about to be used.
const PLANNING_ATTEMPTS: usize = 5;

/// Plans, and opens what is to be used again.
fn plan_and_hold(
    manifest: &Manifest,
    wanted: &[String],
    store: &Store,
    steps: Option<&StepCache<'_>>,
) -> Result<(Plan, HeldSteps)> {
    let Some(steps) = steps else {
        let plan = plan(manifest, wanted, &StoreIndex { store, manifest })?;
        return Ok((plan, HeldSteps::default()));
    };
    for _ in 0..PLANNING_ATTEMPTS {
        let plan = plan(manifest, wanted, steps)?;
        if let Some(held) = steps.hold(&plan)? {
            return Ok((plan, held));
        }
    }
    bail!(
        "other builds keep removing results that this one is about to use: the store is too small for all of them"
    )
}

/// Warns if a build will not fit, and gives the order for its steps. Where the store does not tell what was before, there
/// is nothing to go by, and no reason not to build.
fn foresee(
    manifest: &Manifest,
    plan: &Plan,
    store: &Store,
    observer: &mut dyn Observer,
) -> Vec<usize> {
    let past = store.past_steps().unwrap_or_else(|error| {
        tracing::debug!("what earlier builds took is not known: {error:#}");
        Vec::new()
    });
    let forecast = Forecast::new(manifest, &plan.steps, &past);
    let (needed, free) = (forecast.bytes, store.free_bytes());
    match free {
        Ok(free) if needed > free => {
            observer.event(manifest, &Event::SpaceIsShort { needed, free });
        }
        Ok(_) => {}
        Err(error) => tracing::debug!("what room there is is not known: {error:#}"),
    }
    forecast.order
}

/// Tells an observer, on the thread that fetches.
struct ObserverOfFetching<'a> {
    manifest: &'a Manifest,
    observer: &'a mut dyn Observer,
}

impl FetchListener for ObserverOfFetching<'_> {
    fn event(&mut self, event: Event) {
        self.observer.event(self.manifest, &event);
    }

    fn arrived(&mut self, _item: &str) {}
}

/// Tells the scheduler.
struct SchedulerOfFetching<'a>(&'a EventSender);

impl FetchListener for SchedulerOfFetching<'_> {
    fn event(&mut self, event: Event) {
        self.0.send(event);
    }

    fn arrived(&mut self, item: &str) {
        self.0.arrived(item);
    }
}

/// The steps of a plan, ready to be run.
struct Running<'a> {
    request: &'a BuildRequest,
    pipelines: &'a PipelineContext<'a>,
    plan: &'a Plan,
    /// The order of the forecast.
    order: &'a [usize],
    /// With what to fetch meanwhile, if that is not done yet.
    fetching: Option<&'a FetchContext<'a>>,
    /// When trees can go.
    consumers: Consumers,
    /// What was in those that went.
    released: &'a Mutex<Metadata>,
}

/// What the stages of pipelines left, by index in the manifest.
type Metadata = IndexMap<usize, IndexMap<StageId, serde_json::Value>>;

impl Running<'_> {
    fn run(&self, observer: &mut dyn Observer, outcome: &mut Outcome) -> Result<()> {
        let manifest = self.pipelines.manifest;
        let wanted: Vec<HashSet<String>> = self
            .plan
            .steps
            .iter()
            .map(|step| wanted_items(manifest, step))
            .collect();
        let urgency = urgency(&wanted, self.order);
        let fetched = Mutex::new(None);
        let fetch = |events: &EventSender| {
            let Some(&context) = self.fetching else {
                return true;
            };
            let context = FetchContext {
                urgency: Some(&urgency),
                ..context
            };
            let mut outcome = Outcome::default();
            let mut listener = SchedulerOfFetching(events);
            let result = fetch_sources(manifest, &context, &mut listener, &mut outcome);
            let success = result.is_ok() && outcome.success();
            *fetched.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(result.map(|()| outcome));
            success
        };
        let work = Work {
            steps: &self.plan.steps,
            order: self.order,
            supply: self.fetching.map(|_| Supply {
                wanted,
                fetch: &fetch,
            }),
        };
        let results = schedule::run(
            &work,
            self.request.jobs,
            &self.request.cancel,
            &|step, events| run_pipeline(self.pipelines, step, events),
            &|step| self.tidy(step),
            &mut |event| observer.event(manifest, event),
        );
        let fetched = fetched.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(fetched) = fetched {
            let mut fetched = fetched?;
            fetched.sources.sort_by_key(|outcome| outcome.source);
            outcome.sources = fetched.sources;
            // What interrupted it, the user or a stage that failed, is told below.
            if !matches!(fetched.failure, Some(FailedAt::Interrupted)) {
                outcome.failure = fetched.failure;
            }
        }
        for (step, result) in results {
            record(outcome, self.plan.steps[step].pipeline, result);
        }
        if outcome.failure.is_none() && self.request.cancel.is_cancelled() {
            outcome.failure = Some(FailedAt::Interrupted);
        }
        Ok(())
    }
}

impl Running<'_> {
    /// Lets go of the trees that were waiting for this step alone. Where one can not go now, it goes at the end.
    fn tidy(&self, step: usize) {
        for id in self.consumers.done(step) {
            if let Err(error) = self.release(&id) {
                tracing::warn!("the tree {id} stays until the end: {error:#}");
            }
        }
    }

    fn release(&self, id: &StageId) -> Result<()> {
        let PipelineContext {
            build, manifest, ..
        } = self.pipelines;
        let Some(object) = build.objects.get(id.as_str())? else {
            return Ok(());
        };
        for (index, pipeline) in manifest.pipelines.iter().enumerate() {
            if pipeline.id() == Some(id) {
                let metadata = metadata_of(pipeline, &object)?;
                let mut released = self.released.lock().unwrap_or_else(PoisonError::into_inner);
                released.insert(index, metadata);
            }
        }
        drop(object);
        build.roots.forget(id.as_str());
        build.objects.forget(id.as_str());
        Ok(())
    }
}

/// The items of sources that the stages of a step read.
fn wanted_items(manifest: &Manifest, step: &Step) -> HashSet<String> {
    let stages = &manifest.pipelines[step.pipeline].stages[step.first_stage..];
    let inputs = stages.iter().flat_map(|stage| stage.inputs.values());
    inputs
        .filter(|input| input.origin == Origin::Source)
        .flat_map(|input| input.references.keys().cloned())
        .collect()
}

/// Ranks items by the first step that wants them.
fn urgency(wanted: &[HashSet<String>], order: &[usize]) -> HashMap<String, usize> {
    let mut ranks = HashMap::new();
    for (rank, &step) in order.iter().enumerate() {
        for item in &wanted[step] {
            ranks.entry(item.clone()).or_insert(rank);
        }
    }
    ranks
}

/// Adds what came of a pipeline. The first real failure counts: those after it were cancelled by it.
fn record(outcome: &mut Outcome, pipeline: usize, result: Result<PipelineOutcome>) {
    match result {
        Ok(result) => {
            let failed = result.stages.iter().find(|stage| !stage.success);
            if let Some(stage) = failed {
                let failure = match stage.ending {
                    crate::outcome::Ending::Cancelled => FailedAt::Interrupted,
                    _ => FailedAt::Stage {
                        pipeline,
                        stage: stage.stage,
                    },
                };
                outcome.failure.get_or_insert(failure);
            }
            outcome.pipelines.insert(pipeline, result);
        }
        Err(error) => {
            outcome.failure.get_or_insert(FailedAt::Engine {
                pipeline: Some(pipeline),
                error,
            });
        }
    }
}

fn export_all(
    manifest: &Manifest,
    request: &BuildRequest,
    plan: &Plan,
    objects: &Objects<'_>,
) -> Result<()> {
    for (index, (wanted, (word, pipeline))) in request.exports.iter().zip(&plan.exports).enumerate()
    {
        let pipeline = &manifest.pipelines[*pipeline];
        let id = pipeline.id().with_context(|| {
            format!("pipeline `{word}` has no stages, so there is no tree to export")
        })?;
        let object = objects
            .get(id.as_str())?
            .with_context(|| format!("the tree of pipeline `{word}` is not there"))?;
        let comes_again = plan.exports[index + 1..]
            .iter()
            .any(|(_, later)| manifest.pipelines[*later].id() == Some(id));
        let next = if comes_again { Use::Again } else { Use::Last };
        export(&object, wanted, next)?;
    }
    Ok(())
}

/// Gathers what stages left, built now or cached, for every pipeline whose tree is or was at hand.
fn collect_metadata(
    manifest: &Manifest,
    objects: &Objects<'_>,
    mut released: Metadata,
) -> Result<Metadata> {
    let mut all = IndexMap::new();
    for (index, pipeline) in manifest.pipelines.iter().enumerate() {
        if let Some(metadata) = released.swap_remove(&index) {
            all.insert(index, metadata);
            continue;
        }
        let Some(id) = pipeline.id() else { continue };
        if let Some(object) = objects.get(id.as_str())? {
            all.insert(index, metadata_of(pipeline, &object)?);
        }
    }
    Ok(all)
}

fn metadata_of(
    pipeline: &Pipeline,
    object: &Object,
) -> Result<IndexMap<StageId, serde_json::Value>> {
    let mut by_stage = IndexMap::new();
    let mut metadata = object.metadata()?;
    for stage in &pipeline.stages {
        if let Some(metadata) = metadata.remove(stage.id.as_str()) {
            by_stage.insert(stage.id.clone(), metadata);
        }
    }
    Ok(by_stage)
}
