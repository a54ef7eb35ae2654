//! The main flow: from the command line to a built image.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, anyhow};
use clap::{Args, CommandFactory as _, Parser as _};
use osbuild_engine::event::Observer;
use osbuild_engine::execute::{ExportRequest, Start};
use osbuild_engine::module_catalog::ModuleCatalog;
use osbuild_engine::shells::ShellRequest;
use osbuild_engine::step_cache::StepPolicy;
use osbuild_manifest::manifest::Manifest;
use osbuild_manifest::validate::validate;
use osbuild_recipe::OutputFormat;
use osbuild_store::Top;

use crate::build_record::{BegunBy, BuildRecord};
use crate::command_line::{
    BuildArguments, BuildOnFailure, Command, CommandLine, RepositoryArguments,
};
use crate::failure::{Failure, FailureKind, Failures};
use crate::known_packages::KnownPackages;
use crate::manifest_command::open_named_catalog;
use crate::manifest_document::{ManifestDocument, read_text};
use crate::mistaken_kind::recipe_as_manifest;
use crate::monitor::{LiveMonitor, LogMonitor, NullMonitor, OneAtATime, Paper, PlainMonitor};
use crate::recipe_commands::{check_recipe, compile_recipe, is_recipe};
use crate::run_build::{
    Advice, BuildOptions, become_builder, export_destination, open_store, run_directory,
    run_remembered,
};
use crate::store_place::tell_what_is_passed_over;
use crate::{
    abbreviation, cache_command, depsolve_command, diff_command, documentation_command,
    explain_command, image_info_command, manifest_command, modules_command, recipe_commands,
    resume_command, tell, usage_error,
};

/// How much a build tells.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Talk {
    /// Show everything that stages print
    #[arg(long, short)]
    pub(crate) verbose: bool,

    /// Print only errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl Talk {
    /// Tells whether to say how to go on with what failed.
    pub(crate) fn advice(self) -> Advice {
        if self.quiet {
            Advice::Unwanted
        } else {
            Advice::Wanted
        }
    }
}

/// Parses the command line and does what it says.
pub(crate) fn run_command_line() -> Result<(), Failures> {
    let line = parse(std::env::args_os().collect())?;
    match &line.command {
        Some(Command::Build(arguments)) => run(arguments),
        Some(Command::Resume(arguments)) => resume_command::run(arguments),
        Some(Command::Manifest(arguments)) => recipe_commands::print_manifest(arguments),
        Some(Command::Lock(arguments)) => recipe_commands::write_lock(arguments),
        Some(Command::Diff(arguments)) => diff_command::run(arguments),
        Some(Command::Depsolve(arguments)) => depsolve_command::run(arguments),
        Some(Command::ImageInfo(arguments)) => image_info_command::run(arguments),
        Some(Command::Explain(arguments)) => explain_command::run(arguments),
        Some(Command::Cache(arguments)) => cache_command::run(arguments),
        Some(Command::Modules(arguments)) => modules_command::run(arguments),
        Some(Command::Completions(arguments)) => {
            documentation_command::print_completions(arguments)
        }
        Some(Command::ManPages(arguments)) => documentation_command::write_man_pages(arguments),
        None => manifest_command::run(&line.manifest),
    }
}

/// Parses the command line. What is wrong with that of `osbuild MANIFEST` is told in upstream's form.
fn parse(arguments: Vec<OsString>) -> Result<CommandLine, Failures> {
    let is_command = arguments.get(1).is_some_and(|first| {
        CommandLine::command()
            .get_subcommands()
            .any(|command| first == command.get_name())
    });
    let arguments = if is_command {
        arguments
    } else {
        abbreviation::expand(arguments).map_err(|error| usage_failure(&error.to_string()))?
    };
    CommandLine::try_parse_from(arguments).map_err(|error| {
        if is_command || !error.use_stderr() {
            error.exit()
        }
        usage_failure(&usage_error::describe(&error))
    })
}

fn usage_failure(text: &str) -> Failures {
    tell::note(usage_error::message(text).trim_end());
    Failures::already_told(FailureKind::Document)
}

/// Builds a recipe or a manifest.
fn run(arguments: &BuildArguments) -> Result<(), Failures> {
    let catalog = open_named_catalog(arguments.libdir.as_deref())?;
    tell_what_is_passed_over(&arguments.store);
    let work = if is_recipe(&arguments.file) {
        work_of_recipe(arguments, &catalog)?
    } else {
        work_of_manifest(arguments, &catalog)?
    };
    let jobs = arguments
        .jobs
        .or_else(|| thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN);
    let options = BuildOptions {
        exports: work.exports.clone(),
        checkpoints: BTreeSet::new(),
        steps: step_policy(arguments),
        start: Start::WhenSupplied,
        hints: work.packages.hints()?,
        stage_timeout: arguments.stage_timeout,
        jobs,
        run_directory: run_directory(None)?,
        shells: ShellRequest::default(),
        keeps_failed_trees: arguments.on_failure == Some(BuildOnFailure::Keep),
    };
    let store = open_store(&arguments.store, None)?;
    // Without the cache nothing is kept to go on from.
    let remembered = if arguments.no_cache {
        None
    } else {
        Some(record(arguments, &work, &options)?.remember(&store))
    };
    let mut monitor = monitor(arguments.talk);
    run_remembered(
        &work.manifest,
        &catalog,
        &store,
        &options,
        monitor.as_mut(),
        remembered,
        arguments.talk.advice(),
    )?;
    tell_results(&work.results, arguments.talk);
    Ok(())
}

/// Says where the results are.
pub(crate) fn tell_results(results: &[PathBuf], talk: Talk) {
    for path in results {
        if !talk.quiet {
            tell::note(&format!("wrote {}", path.display()));
        }
    }
}

/// Writes down what a build was asked for.
fn record(
    arguments: &BuildArguments,
    work: &Work,
    options: &BuildOptions,
) -> Result<BuildRecord, Failures> {
    let keyring = arguments.repository.keyring.as_ref();
    let library = arguments.libdir.as_ref().map(std::path::absolute);
    let record = BuildRecord::new(BegunBy::Build, &arguments.file, work.text.clone())?;
    Ok(BuildRecord {
        library: library
            .transpose()
            .context("finding the library directory")?,
        mirror: arguments.repository.mirror.clone(),
        keyring: keyring
            .map(std::path::absolute)
            .transpose()
            .context("finding the keyring")?,
        stage_timeout: options.stage_timeout.map(|timeout| timeout.as_secs()),
        jobs: options.jobs,
        run_directory: options.run_directory.clone(),
        packages: work.packages.clone(),
        ..record.with_exports(&work.exports, &work.results, Some(&arguments.output))?
    })
}

fn step_policy(arguments: &BuildArguments) -> StepPolicy {
    if arguments.no_cache {
        return StepPolicy::Off;
    }
    StepPolicy::On {
        from: arguments.cache_from.clone(),
    }
}

/// What `osbuild build` was asked for, ready for the engine.
struct Work {
    manifest: Manifest,
    /// The manifest as text.
    text: String,
    exports: Vec<ExportRequest>,
    /// What will be there afterwards.
    results: Vec<PathBuf>,
    packages: KnownPackages,
}

fn work_of_recipe(arguments: &BuildArguments, catalog: &ModuleCatalog) -> Result<Work, Failures> {
    // What is wrong with the recipe comes first; only then privileges, and only then the network.
    check_recipe(&arguments.file)?;
    become_builder()?;
    let work = recipe_work(
        &arguments.file,
        &arguments.repository,
        &arguments.store,
        &arguments.output,
    )?;
    let name = format!("manifest of {}", arguments.file.display());
    let manifest = load_for_build(&name, &work.text, catalog)?;
    Ok(Work {
        manifest,
        text: work.text,
        exports: work.exports,
        results: work.results,
        packages: work.packages,
    })
}

/// What a recipe becomes.
pub(crate) struct RecipeWork {
    /// The manifest.
    pub(crate) text: String,
    /// What is handed out.
    pub(crate) exports: Vec<ExportRequest>,
    /// What will be there afterwards.
    pub(crate) results: Vec<PathBuf>,
    /// What is known of its packages.
    pub(crate) packages: KnownPackages,
}

/// Compiles a recipe whose results go to a directory.
pub(crate) fn recipe_work(
    file: &Path,
    repository: &RepositoryArguments,
    store: &Path,
    output: &Path,
) -> Result<RecipeWork, Failures> {
    let compiled = compile_recipe(file, repository, store)?;
    let exports = compiled
        .exports
        .iter()
        .map(|export| {
            // A file lies in the user's directory; a tree is one.
            let (destination, top) = match export.format {
                OutputFormat::Directory => (output.join(&export.file_name), Top::OfTree),
                _ => (output.to_owned(), Top::AsItIs),
            };
            ExportRequest {
                pipeline: export.pipeline.clone(),
                destination,
                top,
            }
        })
        .collect();
    let results = compiled.exports.iter();
    Ok(RecipeWork {
        packages: KnownPackages::of(&compiled, repository),
        exports,
        results: results
            .map(|export| output.join(&export.file_name))
            .collect(),
        text: compiled.manifest_text,
    })
}

fn work_of_manifest(arguments: &BuildArguments, catalog: &ModuleCatalog) -> Result<Work, Failures> {
    let name = arguments.file.to_string_lossy();
    let text = read_text(&name)?;
    let manifest = load_for_build(&name, &text, catalog)?;
    let pipelines = if arguments.export.is_empty() {
        let last = manifest.pipelines.last().map(|last| last.name.clone());
        last.into_iter().collect()
    } else {
        arguments.export.clone()
    };
    if pipelines.is_empty() {
        let error = anyhow!("`{name}` has no pipelines, so there is nothing to build");
        return Err(Failure::new(FailureKind::Document, error).into());
    }
    if let Some(unknown) = pipelines
        .iter()
        .find(|word| manifest.find_pipeline(word).is_none())
    {
        let error = anyhow!("`{name}` has no pipeline `{unknown}`");
        let names: Vec<&str> = manifest
            .pipelines
            .iter()
            .map(|pipeline| pipeline.name.as_str())
            .collect();
        let failure = Failure::new(FailureKind::Build, error)
            .with_hint(format!("its pipelines are: {}", names.join(", ")));
        return Err(failure.into());
    }
    let is_single = pipelines.len() == 1;
    let exports: Vec<ExportRequest> = pipelines
        .into_iter()
        .map(|pipeline| {
            let destination = if is_single {
                arguments.output.clone()
            } else {
                export_destination(&arguments.output, &pipeline)?
            };
            let top = if is_single && destination.exists() {
                Top::AsItIs
            } else {
                Top::OfTree
            };
            Ok(ExportRequest {
                destination,
                top,
                pipeline,
            })
        })
        .collect::<Result<_, Failure>>()?;
    become_builder()?;
    let results = exports
        .iter()
        .map(|export| export.destination.clone())
        .collect();
    Ok(Work {
        manifest,
        text,
        exports,
        results,
        packages: KnownPackages::default(),
    })
}

/// Resolves a manifest, telling everything that is wrong with its place.
pub(crate) fn load_for_build(
    name: &str,
    text: &str,
    catalog: &ModuleCatalog,
) -> Result<Manifest, Failures> {
    let manifest = ManifestDocument::parse(name, text)?;
    if manifest.version().is_none() && manifest.document.value.as_object().is_some() {
        return Err(manifest.unknown_version().into());
    }
    if let Some(failure) = recipe_as_manifest(name, &manifest.document.value) {
        return Err(failure.into());
    }
    let errors = validate(&manifest.document, catalog);
    for warning in catalog.metadata_warnings() {
        tell::note(&format!("warning: {warning}"));
    }
    catalog.check_metadata()?;
    if !errors.is_empty() {
        return Err(manifest.failures(&errors));
    }
    Ok(manifest.resolve(catalog)?)
}

/// Chooses how a build tells what happens.
pub(crate) fn monitor(talk: Talk) -> Box<dyn Observer> {
    if talk.quiet {
        Box::new(NullMonitor)
    } else if talk.verbose {
        Box::new(OneAtATime::new(LogMonitor::new(Paper::stderr())))
    } else if std::io::stderr().is_terminal() {
        Box::new(LiveMonitor::new())
    } else {
        Box::new(PlainMonitor::new(Paper::stderr()))
    }
}
