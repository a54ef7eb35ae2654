//! Runs one stage: services on the host, the sandbox, the result.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fs_err as fs;
use osbuild_manifest::manifest::{Pipeline, Stage};
use osbuild_manifest::module::ModuleKind;
use osbuild_sandbox::build_root::Program;
use osbuild_sandbox::{CancelToken, Limits, Reason, build_root_spec};
use osbuild_store::Store;

use crate::build_root::{BuildRoot, BuildRoots, SandboxShare, StageWorld};
use crate::event::Event;
use crate::host_services::{HostServices, Objects, ServicePlaces};
use crate::module_catalog::ModuleCatalog;
use crate::outcome::{Ending, StageOutcome};
use crate::schedule::EventSender;
use crate::stage_arguments::stage_arguments;
use crate::stage_log::StageLog;

/// What every stage of a build has in common.
pub(crate) struct BuildContext<'a> {
    pub(crate) store: &'a Store,
    pub(crate) objects: Objects<'a>,
    pub(crate) share: &'a SandboxShare,
    pub(crate) roots: &'a BuildRoots,
    pub(crate) catalog: &'a ModuleCatalog,
    pub(crate) stage_timeout: Option<Duration>,
    pub(crate) cancel: &'a CancelToken,
}

/// One stage of one pipeline, and where it works.
pub(crate) struct StageRun<'a> {
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) pipeline_index: usize,
    pub(crate) stage: &'a Stage,
    pub(crate) stage_index: usize,
    pub(crate) root: &'a BuildRoot,
    pub(crate) tree: &'a Path,
    pub(crate) logs: &'a Path,
}

/// Runs a stage. A stage that fails is an outcome, not an error.
pub(crate) fn run_stage(
    context: &BuildContext<'_>,
    run: &StageRun<'_>,
    events: &EventSender,
) -> Result<Arc<StageOutcome>> {
    let start = Instant::now();
    events.send(Event::StageStarted {
        pipeline: run.pipeline_index,
        stage: run.stage_index,
    });
    let mut log = StageLog::create(run.logs, run.stage_index, &run.stage.name)?;
    let world = StageWorld::create(context.store)?;
    let places = ServicePlaces {
        inputs: &world.place("inputs"),
        devices: world.devices.path(),
        mounts: &world.place("mounts"),
        tree: run.tree,
    };
    let (ending, metadata) = match HostServices::start(run.stage, &places, &context.objects) {
        Ok(services) => {
            let ending = run_in_sandbox(context, run, &world, services, &mut log, events)?;
            (ending, read_metadata(&world.place("meta")))
        }
        Err(failure) => {
            let reason = format!("{:#}", failure.error);
            let text = format!("{}: {reason}\n", failure.module);
            record_output(run, &mut log, events, text.as_bytes());
            let module = failure.module;
            (Ending::NotStarted { module, reason }, Ok(None))
        }
    };
    let (success, metadata) = match (&ending, metadata) {
        (Ending::Exited { status: 0 }, Ok(metadata)) => (true, metadata),
        (_, Ok(metadata)) => (false, metadata),
        (_, Err(error)) => {
            let text = format!("{}: {error:#}\n", run.stage.name);
            record_output(run, &mut log, events, text.as_bytes());
            (false, None)
        }
    };
    let path = log.path().to_owned();
    let outcome = Arc::new(StageOutcome {
        stage: run.stage_index,
        id: run.stage.id.clone(),
        name: run.stage.name.clone(),
        success,
        ending,
        output: log.into_text(),
        error: None,
        metadata,
        duration: start.elapsed(),
        log: path,
        free_bytes: (!success).then(|| free_bytes(run.tree)).flatten(),
    });
    events.send(Event::StageFinished {
        pipeline: run.pipeline_index,
        stage: run.stage_index,
        outcome: Arc::clone(&outcome),
    });
    Ok(outcome)
}

fn run_in_sandbox(
    context: &BuildContext<'_>,
    run: &StageRun<'_>,
    world: &StageWorld,
    mut services: HostServices,
    log: &mut StageLog,
    events: &EventSender,
) -> Result<Ending> {
    run.root.copy_into(world)?;
    let replies = std::mem::take(&mut services.replies);
    let arguments = stage_arguments(run.pipeline, run.stage, replies);
    fs::write(world.place("arguments"), arguments.to_python_json())?;
    let module = Program {
        name: run.stage.name.clone(),
        path: context.share.program.clone(),
    };
    let mut request = context.share.request(run.root, world, run.tree, module);
    request.capabilities = context
        .catalog
        .capabilities(run.stage.kind, &run.stage.name)
        .with_context(|| format!("reading the capabilities of `{}`", run.stage.name))?;
    if run.stage.kind == ModuleKind::Assembler {
        let (variable, value) = osbuild_stages::ASSEMBLER_ENVIRONMENT;
        request.environment.push((variable.into(), value.into()));
    }
    request.source_epoch = run.pipeline.source_epoch.map(|epoch| epoch.to_string());
    let limits = Limits {
        timeout: context.stage_timeout,
        cancel: context.cancel,
    };
    let finished = context
        .share
        .executor
        .run(&build_root_spec(&request), &limits, &mut |bytes| {
            record_output(run, log, events, bytes);
        })
        .with_context(|| format!("running `{}`", run.stage.name))?;
    // Mounts are synced and undone here, before anyone looks at the tree.
    drop(services);
    let ending = ending_of(finished.reason);
    if ending == Ending::TimedOut {
        let limit = context.stage_timeout.unwrap_or_default().as_secs();
        let text = format!("ended: it ran longer than --stage-timeout {limit} allows\n");
        record_output(run, log, events, text.as_bytes());
    }
    Ok(ending)
}

fn ending_of(reason: Reason) -> Ending {
    match reason {
        Reason::Exited { status } => Ending::Exited { status },
        Reason::Signalled { signal } => Ending::Signalled { signal },
        Reason::TimedOut => Ending::TimedOut,
        Reason::Cancelled => Ending::Cancelled,
    }
}

fn record_output(run: &StageRun<'_>, log: &mut StageLog, events: &EventSender, bytes: &[u8]) {
    log.write(bytes);
    events.send(Event::StageOutput {
        pipeline: run.pipeline_index,
        stage: run.stage_index,
        bytes: bytes.to_vec(),
    });
}

/// Tells how much can still be written where the tree is, to the reserve of the superuser.
fn free_bytes(tree: &Path) -> Option<u64> {
    let statistics = rustix::fs::statvfs(tree).ok()?;
    Some(statistics.f_bfree.saturating_mul(statistics.f_frsize))
}

/// Most bytes of metadata that a stage may leave; package lists of large systems are a few hundred kB.
const MAXIMUM_METADATA: u64 = 64 * 1024 * 1024;

/// Reads what the stage left for the result.
fn read_metadata(path: &Path) -> Result<Option<serde_json::Value>> {
    let size = fs::metadata(path)?.len();
    if size == 0 {
        return Ok(None);
    }
    anyhow::ensure!(
        size <= MAXIMUM_METADATA,
        "its metadata has {size} bytes, more than the {MAXIMUM_METADATA} allowed"
    );
    let text = fs::read(path)?;
    let value = serde_json::from_slice(&text).context("its metadata is not JSON")?;
    Ok(Some(value))
}
