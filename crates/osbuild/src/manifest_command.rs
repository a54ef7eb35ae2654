//! `osbuild MANIFEST`: upstream's command line.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use osbuild_engine::event::Observer;
use osbuild_engine::execute::{ExportRequest, Start};
use osbuild_engine::module_catalog::ModuleCatalog;
use osbuild_engine::outcome::Outcome;
use osbuild_engine::shells::ShellRequest;
use osbuild_engine::step_cache::StepPolicy;
use osbuild_host_modules::ItemHints;
use osbuild_manifest::checkpoint::matching_stages;
use osbuild_manifest::inspect::inspect;
use osbuild_manifest::manifest::{Manifest, StageId, Version};
use osbuild_manifest::validate::{errors_value, validate};
use osbuild_manifest::value::Value;
use osbuild_sandbox::descriptor;
use osbuild_store::{Store, Top};

use crate::build_record::{BegunBy, BuildRecord, Remembered};
use crate::command_line::{ManifestArguments, OnFailure};
use crate::failure::{Failure, FailureKind, Failures};
use crate::manifest_document::{ManifestDocument, read_text};
use crate::monitor::json_seq::shortened;
use crate::monitor::{JsonSeqMonitor, LogMonitor, NullMonitor, OneAtATime, Paper};
use crate::report::{json_v1, json_v2, stage_failure, text};
use crate::run_build::{
    Advice, BuildOptions, Built, become_builder, export_destination, open_store, run_build,
    run_directory, settle,
};
use crate::seed_command_line::Dialect;
use crate::store_place::tell_what_is_passed_over;
use crate::terminal_style::Style;
use crate::{seed_command_line, tell};

/// Where the modules are when nobody says it.
const DEFAULT_LIBRARY: &str = "/usr/lib/osbuild";

/// Builds or inspects a manifest. The order of the checks decides which error wins, and is upstream's.
pub(crate) fn run(arguments: &ManifestArguments) -> Result<(), Failures> {
    // First of all: later the number could be that of a file of ours.
    let descriptor = arguments.monitor_fd.map(descriptor::inherited);
    let style = Style::of_stdout();
    let name = arguments.manifest.as_deref().unwrap_or("-");
    let mut document = read_manifest(name)?;
    let dialect = seed_command_line::apply(&mut document, &arguments.seed)?;
    let catalog = open_catalog(arguments.libdir.as_deref())?;
    if document.version().is_none() && document.document.value.as_object().is_some() {
        tell::report("Unsupported manifest format\n");
        return Err(Failures::already_told(FailureKind::Document));
    }
    check(&document, &catalog, arguments, style)?;
    let manifest = document.resolve(&catalog)?;
    check_exports(&manifest, &arguments.export, style)?;
    let checkpoints = matching_stages(&manifest, &arguments.checkpoint);
    if !arguments.checkpoint.is_empty() && checkpoints.is_empty() {
        tell::report(&text::no_checkpoints(style));
        return Err(Failures::already_told(FailureKind::Build));
    }
    if arguments.inspect {
        tell::data(&format!("{}\n", inspect(&manifest).to_python_json()));
        return Ok(());
    }
    if !arguments.export.is_empty() && arguments.output_directory.is_none() {
        tell::report("Need --output-directory for --export\n");
        return Err(Failures::already_told(FailureKind::Build));
    }
    let text = (arguments.on_failure == Some(OnFailure::Keep))
        .then(|| document.document.value.to_python_json());
    let work = Work {
        arguments,
        manifest,
        text,
        checkpoints,
        catalog,
        dialect,
        style,
    };
    work.build(descriptor)
}

/// A manifest that is to be built.
struct Work<'a> {
    arguments: &'a ManifestArguments,
    manifest: Manifest,
    /// The manifest with what other files bring, if the build is to be remembered.
    text: Option<String>,
    checkpoints: BTreeSet<StageId>,
    catalog: ModuleCatalog,
    dialect: Dialect,
    style: Style,
}

impl Work<'_> {
    fn build(&self, descriptor: Option<io::Result<OwnedFd>>) -> Result<(), Failures> {
        let arguments = self.arguments;
        refuse_virtual_machines(&arguments.in_vm)?;
        refuse_shell_without_terminal(arguments.on_failure)?;
        let shells = ShellRequest {
            before: arguments.break_before.clone(),
            opens_after_failure: arguments.on_failure == Some(OnFailure::Shell),
        };
        let jobs = match arguments.jobs {
            // One terminal is for one shell at a time.
            Some(jobs) if !shells.is_any() => jobs,
            // Upstream's callers read its log as one pipeline after another.
            _ => NonZeroUsize::MIN,
        };
        let options = BuildOptions {
            exports: export_requests(arguments)?,
            checkpoints: self.checkpoints.clone(),
            steps: if self.text.is_some() {
                StepPolicy::On { from: None }
            } else {
                // What is run, told and kept is upstream's.
                StepPolicy::Off
            },
            start: Start::AfterFetching,
            hints: ItemHints::default(),
            stage_timeout: arguments.stage_timeout,
            jobs,
            shells,
            keeps_failed_trees: arguments.on_failure == Some(OnFailure::Keep),
            run_directory: run_directory(arguments.rundir.as_deref())?,
        };
        if !options.exports.is_empty() {
            become_builder()?;
        }
        tell_what_is_passed_over(&arguments.cache);
        let store = open_store(&arguments.cache, arguments.cache_max_size)?;
        let monitor = MonitorName::of(arguments)?;
        let mut observer = make_monitor(monitor, arguments, descriptor)?;
        let record = self.record(&options)?;
        let remembered = record.map(|record| record.remember(&store));
        let built = run_build(
            &self.manifest,
            &self.catalog,
            &store,
            &options,
            observer.as_mut(),
        );
        let mut built = match built {
            Ok(built) => built,
            Err(failure) => {
                let failure = self.settle(remembered, Some(failure));
                return failure.map_or(Ok(()), |failure| Err(failure.into()));
            }
        };
        if monitor == MonitorName::JsonSeq {
            // Upstream's monitor cuts what the final document shows, too.
            shorten_outputs(&mut built.outcome);
        }
        self.report(built, &store, remembered)
    }

    /// Writes down what the build was asked for, if it is to be remembered.
    fn record(&self, options: &BuildOptions) -> Result<Option<BuildRecord>> {
        let arguments = self.arguments;
        let (Some(text), false) = (&self.text, options.exports.is_empty()) else {
            return Ok(None);
        };
        let name = arguments.manifest.as_deref().unwrap_or("-");
        let record = BuildRecord::new(BegunBy::Manifest, Path::new(name), text.clone())?;
        let results: Vec<PathBuf> = options
            .exports
            .iter()
            .map(|export| export.destination.clone())
            .collect();
        let library = arguments.libdir.as_ref().map(std::path::absolute);
        let checkpoints = options.checkpoints.iter().map(StageId::to_string);
        Ok(Some(BuildRecord {
            checkpoints: checkpoints.collect(),
            library: library
                .transpose()
                .context("finding the library directory")?,
            stage_timeout: options.stage_timeout.map(|timeout| timeout.as_secs()),
            jobs: options.jobs,
            run_directory: options.run_directory.clone(),
            ..record.with_exports(
                &options.exports,
                &results,
                arguments.output_directory.as_deref(),
            )?
        }))
    }

    /// Notes what ended a build, and adds how to go on.
    fn settle(&self, remembered: Option<Remembered>, failure: Option<Failure>) -> Option<Failure> {
        let advice = if self.arguments.quiet {
            Advice::Unwanted
        } else {
            Advice::Wanted
        };
        settle(remembered, failure, advice)
    }

    /// Says what came of it, in upstream's words on standard output, and in ours on standard error.
    fn report(
        &self,
        built: Built,
        store: &Store,
        remembered: Option<Remembered>,
    ) -> Result<(), Failures> {
        let success = built.outcome.success();
        let document = self.arguments.json.then(|| self.document(&built.outcome));
        let failure = stage_failure::failure_of(&self.manifest, built.outcome, built.signal);
        let failure = self.settle(remembered, failure);
        let is_interrupt = failure
            .as_ref()
            .is_some_and(|failure| matches!(failure.kind, FailureKind::Interrupted { .. }));
        if is_interrupt {
            tell::report(&text::aborted(self.style));
        } else if let Some(document) = document {
            tell::data(&document);
        } else if !self.arguments.quiet {
            tell::report(&self.text(success, store));
        }
        match failure {
            None => Ok(()),
            Some(failure) => Err(failure.into()),
        }
    }

    fn document(&self, outcome: &Outcome) -> String {
        let document = match self.manifest.version {
            Version::One => json_v1::result_document(&self.manifest, outcome),
            Version::Two => json_v2::result_document(&self.manifest, outcome),
        };
        format!("{}\n", Value::from_serde(&document).to_python_json())
    }

    fn text(&self, success: bool, store: &Store) -> String {
        match (success, self.dialect) {
            (false, _) => text::failed(self.style),
            (true, Dialect::Today) => {
                text::success(&self.manifest, &self.checkpoints, store, self.style)
            }
            (true, Dialect::Seed) => text::seed_success(&self.manifest),
        }
    }
}

/// Reads the manifest. What is no JSON is an internal error to upstream, and its exit code 1.
fn read_manifest(name: &str) -> Result<ManifestDocument, Failure> {
    ManifestDocument::parse(name, &read_text(name)?).map_err(|failure| Failure {
        kind: FailureKind::Build,
        ..failure
    })
}

/// Opens the library directory that was named, whose modules count before those that are built in; else adds what the
/// usual one has besides, if there is one.
pub(crate) fn open_catalog(named: Option<&Path>) -> Result<ModuleCatalog> {
    let usual = Path::new(DEFAULT_LIBRARY);
    match named {
        None if usual.is_dir() => ModuleCatalog::open_installed(usual),
        named => open_named_catalog(named),
    }
}

/// Opens the library directory that was named, whose modules count before those that are built in.
pub(crate) fn open_named_catalog(named: Option<&Path>) -> Result<ModuleCatalog> {
    match named {
        Some(named) => {
            let library = std::path::absolute(named).context("finding the library directory")?;
            ModuleCatalog::open(Some(&library))
        }
        None => Ok(ModuleCatalog::built_in()),
    }
}

/// Validates; what is wrong goes to standard output in upstream's form.
fn check(
    manifest: &ManifestDocument,
    catalog: &ModuleCatalog,
    arguments: &ManifestArguments,
    style: Style,
) -> Result<(), Failures> {
    let errors = validate(&manifest.document, catalog);
    // A module that counts as absent for its metadata is among the errors: the reason comes first.
    for warning in catalog.metadata_warnings() {
        tell::note(&format!("WARNING: {warning}"));
    }
    catalog.check_metadata()?;
    if errors.is_empty() {
        return Ok(());
    }
    if arguments.json || arguments.inspect {
        tell::data(&format!("{}\n", errors_value(&errors).to_python_json()));
        return Err(Failures::already_told(FailureKind::Document));
    }
    tell::report(&text::validation_errors(&manifest.name, &errors, style));
    if io::stderr().is_terminal() {
        return Err(manifest.failures(&errors));
    }
    Err(Failures::already_told(FailureKind::Document))
}

fn check_exports(manifest: &Manifest, exports: &[String], style: Style) -> Result<(), Failures> {
    let unknown: Vec<&String> = unique(exports)
        .into_iter()
        .filter(|word| manifest.find_pipeline(word).is_none())
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    tell::report(&text::unknown_exports(manifest, &unknown, style));
    Err(Failures::already_told(FailureKind::Build))
}

/// Upstream keeps exports as a set.
fn unique(words: &[String]) -> Vec<&String> {
    let mut unique: Vec<&String> = Vec::new();
    for word in words {
        if !unique.contains(&word) {
            unique.push(word);
        }
    }
    unique
}

/// Puts each export below the word that asked for it.
fn export_requests(arguments: &ManifestArguments) -> Result<Vec<ExportRequest>, Failure> {
    let Some(directory) = &arguments.output_directory else {
        return Ok(Vec::new());
    };
    unique(&arguments.export)
        .into_iter()
        .map(|word| {
            Ok(ExportRequest {
                top: Top::OfTree,
                pipeline: word.clone(),
                destination: export_destination(directory, word)?,
            })
        })
        .collect()
}

fn refuse_virtual_machines(pipelines: &[String]) -> Result<(), Failure> {
    let Some(first) = pipelines.first() else {
        return Ok(());
    };
    let error = anyhow!(
        "pipeline `{first}` can not be run in a virtual machine: this version does not make an initrd for one, nor \
         shares trees with it"
    );
    Err(Failure::new(FailureKind::Build, error)
        .with_hint("leave out --in-vm to run it in a sandbox of this machine"))
}

/// Refuses to open a shell that nobody could type in: it would end at once, and the tree with it. `--break`, which
/// upstream has, takes what it gets.
fn refuse_shell_without_terminal(on_failure: Option<OnFailure>) -> Result<(), Failure> {
    if on_failure != Some(OnFailure::Shell) || io::stdin().is_terminal() {
        return Ok(());
    }
    let error = anyhow!("--on-failure shell needs a terminal, and standard input is none");
    Err(Failure::new(FailureKind::Build, error).with_hint(
        "--on-failure keep keeps what the stage left of its tree, and needs none; a manifest can be named instead of `-`",
    ))
}

/// The monitors that can be asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MonitorName {
    Null,
    Log,
    JsonSeq,
}

impl MonitorName {
    fn of(arguments: &ManifestArguments) -> Result<Self, Failure> {
        match arguments.monitor.as_deref().unwrap_or_default() {
            "" if arguments.quiet || arguments.json => Ok(Self::Null),
            "" | "LogMonitor" => Ok(Self::Log),
            "NullMonitor" => Ok(Self::Null),
            "JSONSeqMonitor" => Ok(Self::JsonSeq),
            other => Err(
                Failure::new(FailureKind::Build, anyhow!("unknown monitor: {other}"))
                    .with_hint("there are NullMonitor, LogMonitor and JSONSeqMonitor"),
            ),
        }
    }
}

fn make_monitor(
    name: MonitorName,
    arguments: &ManifestArguments,
    descriptor: Option<io::Result<OwnedFd>>,
) -> Result<Box<dyn Observer>, Failure> {
    let path = arguments.manifest.as_deref().unwrap_or("-");
    let paper = || -> Result<Paper> {
        let number = arguments.monitor_fd.unwrap_or_default();
        match descriptor {
            None => Ok(Paper::stdout()),
            Some(taken) => taken
                .map(Paper::descriptor)
                .with_context(|| format!("taking descriptor {number} for the monitor")),
        }
    };
    Ok(match name {
        MonitorName::Null => Box::new(NullMonitor),
        MonitorName::Log => Box::new(OneAtATime::new(LogMonitor::of_manifest(paper()?, path))),
        MonitorName::JsonSeq => Box::new(JsonSeqMonitor::new(paper()?, path)),
    })
}

fn shorten_outputs(outcome: &mut Outcome) {
    let stages = outcome.pipelines.values_mut();
    for stage in stages.flat_map(|pipeline| &mut pipeline.stages) {
        let output = shortened(&stage.whole_output()).into_owned();
        let stage = Arc::make_mut(stage);
        (stage.output, stage.earlier_output) = (output, 0);
    }
}
