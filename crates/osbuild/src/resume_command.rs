//! `osbuild resume`: goes on with a build that failed, was interrupted or was killed.
//!
//! Nothing of the build itself is needed but what it was asked for: finished stages are in the store, as for any
//! `osbuild build`, so going on is building again with what the command line said then.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use osbuild_engine::execute::Start;
use osbuild_engine::shells::ShellRequest;
use osbuild_engine::step_cache::StepPolicy;
use osbuild_store::{Store, StoreOptions, UnfinishedBuild};

use crate::build_command::{Talk, load_for_build, monitor, recipe_work, tell_results};
use crate::build_record::{BuildRecord, resume_command};
use crate::command_line::{BuildOnFailure, parse_seconds};
use crate::failure::{Failure, FailureKind, Failures};
use crate::known_packages::KnownPackages;
use crate::manifest_document::read_text;
use crate::recipe_commands::{check_recipe, is_recipe};
use crate::run_build::{BuildOptions, become_builder, run_remembered};
use crate::shell_word::shell_word;
use crate::store_place::{default_store, tell_what_is_passed_over};
use crate::tell;

/// `osbuild resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArguments {
    /// Which build: an id that `osbuild cache ls` shows, or how it begins; default: the last
    #[arg(value_name = "ID")]
    id: Option<String>,

    /// Go on with this recipe or manifest, as it is now, instead of what the build began with: from the first stage that
    /// differs
    #[arg(long, value_name = "FILE")]
    with: Option<PathBuf>,

    /// Directory of downloads and built trees
    #[arg(
        long,
        visible_alias = "cache",
        value_name = "DIR",
        default_value_os_t = default_store(),
        hide_default_value = true
    )]
    store: PathBuf,

    /// Pipelines that run side by side at most; default: as before
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// End a stage that runs longer than this many seconds; default: as before
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    stage_timeout: Option<Duration>,

    /// What to do when a stage has failed: `keep` keeps what it left of its tree
    #[arg(long, value_name = "ACTION")]
    on_failure: Option<BuildOnFailure>,

    #[command(flatten)]
    talk: Talk,
}

/// Goes on with a build.
pub(crate) fn run(arguments: &ResumeArguments) -> Result<(), Failures> {
    become_builder()?;
    tell_what_is_passed_over(&arguments.store);
    // A mistyped name makes no store.
    drop(Store::open_to_read(&arguments.store)?);
    let store = Store::open(&arguments.store, &StoreOptions::default())?;
    let build = choose(&store, arguments.id.as_deref())?;
    let mut record = BuildRecord::read(&build.content).map_err(|error| {
        Failure::new(
            FailureKind::Build,
            error.context(format!("going on with build {}", build.id)),
        )
        .with_hint("begin it anew; finished stages are used again as far as they are kept")
    })?;
    if !arguments.talk.quiet {
        tell_what_resumes(&build.id, &record, arguments);
    }
    let catalog = record.catalog()?;
    if let Some(file) = &arguments.with {
        record = replace_document(record, file, &arguments.store)?;
    }
    let name = format!("manifest of {}", record.file.display());
    let manifest = load_for_build(&name, &record.manifest, &catalog)?;
    let timeout = arguments.stage_timeout.map(|timeout| timeout.as_secs());
    record.stage_timeout = timeout.or(record.stage_timeout);
    record.jobs = arguments.jobs.unwrap_or(record.jobs);
    let options = BuildOptions {
        exports: record.export_requests(),
        checkpoints: record.checkpoints(&manifest),
        steps: StepPolicy::On { from: None },
        start: Start::WhenSupplied,
        hints: record.packages.hints()?,
        stage_timeout: record.stage_timeout(),
        jobs: record.jobs,
        run_directory: record.run_directory.clone(),
        shells: ShellRequest::default(),
        keeps_failed_trees: arguments.on_failure == Some(BuildOnFailure::Keep),
    };
    let results = record.results.clone();
    let remembered = record.remember_as(build.id.clone(), &store);
    if remembered.is_running_elsewhere() {
        return Err(is_running(&build.id).into());
    }
    let mut monitor = monitor(arguments.talk);
    run_remembered(
        &manifest,
        &catalog,
        &store,
        &options,
        monitor.as_mut(),
        Some(remembered),
        arguments.talk.advice(),
    )?;
    tell_results(&results, arguments.talk);
    Ok(())
}

/// Finds the build that was named, or the last one that does not run.
fn choose(store: &Store, id: Option<&str>) -> Result<UnfinishedBuild, Failure> {
    let place = store.root().display();
    store.check_remembered_builds().map_err(|error| {
        let error = error.context(format!(
            "the builds that {place} remembers are not believed"
        ));
        Failure::new(FailureKind::Build, error).with_hint(
            "going on with a build runs what its record says: only your own and root's count",
        )
    })?;
    let builds = store.unfinished_builds()?;
    let Some(id) = id else {
        let is_empty = builds.is_empty();
        return builds
            .into_iter()
            .find(|build| !build.is_running)
            .ok_or_else(|| {
                let error = if is_empty {
                    anyhow!("no build in {place} is left to go on with: none failed, or all are done since")
                } else {
                    anyhow!("every build that {place} remembers is still running")
                };
                Failure::new(FailureKind::Build, error).with_hint(
                    "`osbuild build` remembers what it could not finish, and so does `osbuild MANIFEST` with \
                     --on-failure keep; another store is named with --store",
                )
            });
    };
    // No id begins with nothing: an empty word is a variable that was not set.
    let mut found = builds
        .into_iter()
        .filter(|build| !id.is_empty() && build.id.starts_with(id))
        .collect::<Vec<_>>();
    match (found.pop(), found.len()) {
        (Some(build), 0) if build.is_running => Err(is_running(&build.id)),
        (Some(build), 0) => Ok(build),
        (Some(_), _) => {
            let error = anyhow!("`{id}` can mean several builds: give more of the id");
            Err(Failure::new(FailureKind::Build, error))
        }
        (None, _) => {
            let error = anyhow!("{place} remembers no build whose id begins with `{id}`");
            Err(Failure::new(FailureKind::Build, error)
                .with_hint("`osbuild cache ls` lists them; --with names a file to go on with"))
        }
    }
}

fn is_running(id: &str) -> Failure {
    Failure::new(FailureKind::Build, anyhow!("build {id} is still running"))
}

fn tell_what_resumes(id: &str, record: &BuildRecord, arguments: &ResumeArguments) {
    tell::note(&format!("going on with {id}, {}", record.summary()));
    if record.program != env!("CARGO_PKG_VERSION") {
        tell::note(&format!(
            "it was begun by version {} of osbuild, and this is {}: stages whose code has changed run anew",
            record.program,
            env!("CARGO_PKG_VERSION")
        ));
    }
    if arguments.with.is_none() && record.is_file_changed() {
        let file = shell_word(&record.file.to_string_lossy());
        let store = std::path::absolute(&arguments.store);
        let store = store.unwrap_or_else(|_| arguments.store.clone());
        tell::note(&format!(
            "{} has changed since; this goes on with what it was. To take it as it is now: {} --with {file}",
            record.file.display(),
            resume_command(&store, Some(id))
        ));
    }
}

/// Puts another recipe or manifest in the place of the one that a build began with.
fn replace_document(
    mut record: BuildRecord,
    file: &Path,
    store: &Path,
) -> Result<BuildRecord, Failures> {
    if !is_recipe(file) {
        let manifest = read_text(&file.to_string_lossy())?;
        return Ok(BuildRecord {
            manifest,
            packages: KnownPackages::default(),
            ..record.of_file(file)?
        });
    }
    let Some(output) = record.output.clone() else {
        let error =
            anyhow!("this build hands nothing out, so there is no place for what a recipe makes");
        return Err(Failure::new(FailureKind::Build, error).into());
    };
    check_recipe(file)?;
    let work = recipe_work(file, &record.repository(), store, &output)?;
    record = record.of_file(file)?;
    record.manifest = work.text;
    record.packages = work.packages;
    Ok(record.with_exports(&work.exports, &work.results, Some(&output))?)
}
