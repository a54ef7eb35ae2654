//! Runs one stage: services on the host, the sandbox, the result.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fs_err as fs;
use osbuild_manifest::manifest::{Input, Pipeline, Stage};
use osbuild_manifest::module::ModuleKind;
use osbuild_manifest::value::Value;
use osbuild_sandbox::build_root::{BuildRootRequest, Program};
use osbuild_sandbox::{CancelToken, Limits, Reason, build_root_spec};
use osbuild_store::Store;

use crate::build_root::{BuildRoot, BuildRoots, SandboxShare, StageWorld};
use crate::event::Event;
use crate::experimental;
use crate::external::api_server::{ApiServer, Endpoint};
use crate::external::lean_python;
use crate::external::line_reader::LineSink;
use crate::external::loop_api::LoopApi;
use crate::external::service::Wait;
use crate::external::stage_api::{StageApi, StageReport};
use crate::external::store_api::StoreApi;
use crate::host_services::{HostServices, Objects, ServiceContext, ServiceFailure, ServicePlaces};
use crate::module_catalog::{ModuleCatalog, ModuleCode};
use crate::outcome::{Ending, StageOutcome};
use crate::schedule::EventSender;
use crate::shells::{self, ShellRequest};
use crate::stage_arguments::{ServiceReplies, stage_arguments};
use crate::stage_log::StageLog;

/// What every stage of a build has in common.
pub(crate) struct BuildContext<'a> {
    pub(crate) store: &'a Store,
    pub(crate) objects: Objects<'a>,
    pub(crate) share: &'a SandboxShare,
    pub(crate) roots: &'a BuildRoots,
    pub(crate) catalog: &'a ModuleCatalog,
    /// Where sockets are.
    pub(crate) run_directory: &'a Path,
    pub(crate) shells: &'a ShellRequest,
    pub(crate) stage_timeout: Option<Duration>,
    pub(crate) cancel: &'a CancelToken,
}

impl BuildContext<'_> {
    /// Tells whether a module is in a library directory.
    fn is_foreign(&self, kind: ModuleKind, name: &str) -> bool {
        matches!(self.catalog.code(kind, name), Some(ModuleCode::File(_)))
    }
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

impl StageRun<'_> {
    /// Gives the module with its kind, `stages/org.osbuild.noop`.
    fn module(&self) -> String {
        format!("{}/{}", self.stage.kind.folder(), self.stage.name)
    }
}

/// The sockets that are shown in a sandbox.
const SANDBOX_SOCKETS: [&str; 2] = ["osbuild", "remoteloop"];

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
    let report = StageReport::default();
    let ending = thread::scope(|scope| {
        let mut attempt = Attempt {
            context,
            run,
            world: &world,
            log: &mut log,
            events,
        };
        attempt.run(scope, start, &report)
    })?;
    let (error, problems) = report.take();
    for problem in problems {
        events.send(service_log(run, format!("{}: {problem}", run.module())));
    }
    let (success, metadata) = match (&ending, read_metadata(&world.place("meta"))) {
        (Ending::Exited { status: 0 }, Ok(metadata)) => (true, metadata),
        (Ending::NotStarted { .. }, _) => (false, None),
        (_, Ok(metadata)) => (false, metadata),
        (_, Err(error)) => {
            let text = format!("{}: {error:#}\n", run.stage.name);
            record_output(run, &mut log, events, text.as_bytes());
            (false, None)
        }
    };
    if let (true, Some(error)) = (success, &error) {
        let text = "it reported an exception, and then ended well";
        let line = format!("{}: {text}: {}", run.module(), error.to_python_json());
        events.send(service_log(run, line));
    }
    let path = log.path().to_owned();
    let (output, earlier_output) = log.into_text();
    let outcome = Arc::new(StageOutcome {
        stage: run.stage_index,
        id: run.stage.id.clone(),
        name: run.stage.name.clone(),
        success,
        ending,
        output,
        earlier_output,
        error: error.map(|error| error.to_serde()),
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

/// One attempt to run a stage, with all it needs.
struct Attempt<'a> {
    context: &'a BuildContext<'a>,
    run: &'a StageRun<'a>,
    world: &'a StageWorld,
    log: &'a mut StageLog,
    events: &'a EventSender,
}

impl<'a> Attempt<'a> {
    /// Starts sockets and services, runs the stage, and undoes them in the opposite order.
    fn run<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        start: Instant,
        report: &StageReport,
    ) -> Result<Ending>
    where
        'a: 'scope,
    {
        let (context, run) = (self.context, self.run);
        let server = self.start_server(scope, report)?;
        let service_context = ServiceContext {
            places: ServicePlaces {
                inputs: &self.world.place("inputs"),
                devices: self.world.devices.path(),
                mounts: &self.world.place("mounts"),
                tree: run.tree,
            },
            objects: context.objects,
            catalog: context.catalog,
            store_socket: server.as_ref().map(|server| server.socket("store")),
            wait: Wait {
                limit: context.stage_timeout,
                start,
                cancel: context.cancel,
            },
            sink: &|prefix| line_sink(run, self.events.clone(), prefix),
        };
        let mut services = match HostServices::start(run.stage, &service_context) {
            Ok(services) => services,
            Err(failure) => return Ok(self.not_started(failure)),
        };
        let replies = std::mem::take(&mut services.replies);
        let ending = self.run_in_sandbox(replies, server.as_ref())?;
        // Mounts are synced and undone here, before anyone looks at the tree.
        let failures = services.stop();
        Ok(match failures.into_iter().next_back() {
            // What it should have written may not be there.
            Some(failure) if ending == (Ending::Exited { status: 0 }) => self.not_started(failure),
            _ => ending,
        })
    }

    /// Opens the sockets that foreign modules of the stage need, if it has any.
    fn start_server<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        report: &StageReport,
    ) -> Result<Option<ApiServer<'scope>>>
    where
        'a: 'scope,
    {
        let (context, stage) = (self.context, self.run.stage);
        let mut endpoints: Vec<Box<dyn Endpoint + 'scope>> = Vec::new();
        let is_foreign = |input: &Input| context.is_foreign(ModuleKind::Input, &input.kind);
        if stage.inputs.values().any(is_foreign) {
            endpoints.push(Box::new(StoreApi::new(context.objects)));
        }
        if self.has_foreign_program() {
            endpoints.push(Box::new(StageApi(report.clone())));
            endpoints.push(Box::new(LoopApi::new(report.clone())));
        }
        if endpoints.is_empty() {
            return Ok(None);
        }
        ApiServer::start(scope, context.run_directory, endpoints).map(Some)
    }

    /// Tells whether something that is not built in runs in the sandbox.
    fn has_foreign_program(&self) -> bool {
        let stage = self.run.stage;
        self.run.root.has_foreign_runner() || self.context.is_foreign(stage.kind, &stage.name)
    }

    fn run_in_sandbox(
        &mut self,
        replies: ServiceReplies,
        server: Option<&ApiServer<'_>>,
    ) -> Result<Ending> {
        let (context, run, world) = (self.context, self.run, self.world);
        run.root.copy_into(world)?;
        let arguments = stage_arguments(run.pipeline, run.stage, replies);
        fs::write(world.place("arguments"), arguments.to_python_json())?;
        let request = self.sandbox(server)?;
        if context.shells.is_before(run.stage) {
            shells::open(run.stage, &request, context.cancel)?;
        }
        let limits = Limits {
            timeout: context.stage_timeout,
            cancel: context.cancel,
        };
        let finished = context
            .share
            .executor
            .run(&build_root_spec(&request), &limits, &mut |bytes| {
                record_output(run, self.log, self.events, bytes);
            })
            .with_context(|| format!("running `{}`", run.stage.name))?;
        let ending = ending_of(finished.reason);
        if ending == Ending::TimedOut {
            let limit = context.stage_timeout.unwrap_or_default().as_secs();
            let text = format!("ended: it ran longer than --stage-timeout {limit} allows\n");
            record_output(run, self.log, self.events, text.as_bytes());
        }
        if context.shells.is_after(&ending) {
            shells::open(run.stage, &request, context.cancel)?;
        }
        Ok(ending)
    }

    /// Puts together what the stage sees.
    fn sandbox(&self, server: Option<&ApiServer<'_>>) -> Result<BuildRootRequest> {
        let (context, run) = (self.context, self.run);
        let (kind, name) = (run.stage.kind, run.stage.name.as_str());
        let module = Program {
            name: name.to_owned(),
            path: match context.catalog.code(kind, name) {
                Some(ModuleCode::File(file)) => file,
                Some(ModuleCode::BuiltIn) | None => context.share.program.clone(),
            },
        };
        let mut request = context
            .share
            .request(run.root, self.world, run.tree, module);
        request.capabilities = context
            .catalog
            .capabilities(kind, name)
            .with_context(|| format!("reading the capabilities of `{name}`"))?;
        request.source_epoch = run.pipeline.source_epoch.map(|epoch| epoch.to_string());
        if kind == ModuleKind::Assembler {
            let (variable, value) = osbuild_stages::ASSEMBLER_ENVIRONMENT;
            request.environment.push((variable.into(), value.into()));
        }
        if experimental::is_set("debug-qemu-user")? {
            request
                .environment
                .push(("QEMU_LOG".into(), "unimp".into()));
        }
        if let Some(library) = context.catalog.library()
            && self.has_foreign_program()
        {
            request.library = Some(library.path().to_owned());
            request.python_package = library.python_package().to_show().map(Path::to_owned);
            if let Some(package) = library.covered_package() {
                request.covered_files = lean_python::cover(package, &self.world.place("python"))?;
            }
            request.sockets = server
                .into_iter()
                .flat_map(|server| {
                    SANDBOX_SOCKETS.map(|name| (name.to_owned(), server.socket(name)))
                })
                .collect();
        }
        Ok(request)
    }

    /// Records that a service failed.
    fn not_started(&mut self, failure: ServiceFailure) -> Ending {
        if self.context.cancel.is_cancelled() {
            return Ending::Cancelled;
        }
        let ServiceFailure {
            module,
            error,
            last_lines,
        } = failure;
        let reason = format!("{error:#}");
        let mut text = last_lines.join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        text += &format!("{module}: {reason}\n");
        record_output(self.run, self.log, self.events, text.as_bytes());
        Ending::NotStarted { module, reason }
    }
}

/// Makes what takes the lines of a foreign module on the host.
fn line_sink(run: &StageRun<'_>, events: EventSender, prefix: String) -> LineSink {
    let (pipeline, stage) = (run.pipeline_index, run.stage_index);
    Box::new(move |line| {
        events.send(Event::ServiceLog {
            pipeline,
            stage,
            line: format!("{prefix}{line}"),
        });
    })
}

fn service_log(run: &StageRun<'_>, line: String) -> Event {
    Event::ServiceLog {
        pipeline: run.pipeline_index,
        stage: run.stage_index,
        line,
    }
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
    let text = fs::read_to_string(path).context("reading its metadata")?;
    // Python writes NaN, too.
    let value = Value::from_json(&text)
        .map_err(|error| anyhow::anyhow!("its metadata is not JSON: {error}"))?;
    Ok(Some(value.to_serde()))
}
