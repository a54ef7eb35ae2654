//! Runs the engine on a resolved manifest: privileges, store, signals.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use osbuild_engine::event::Observer;
use osbuild_engine::execute::{BuildRequest, DEFAULT_RUN_DIRECTORY, ExportRequest, Start, build};
use osbuild_engine::module_catalog::ModuleCatalog;
use osbuild_engine::outcome::{FailedAt, Outcome};
use osbuild_engine::shells::ShellRequest;
use osbuild_engine::step_cache::StepPolicy;
use osbuild_host_modules::ItemHints;
use osbuild_manifest::manifest::{Manifest, StageId};
use osbuild_sandbox::{CancelToken, enter_private_mount_namespace, privilege};
use osbuild_store::{MaximumSize, Store, StoreOptions};

use crate::build_record::Remembered;
use crate::failure::{Failure, FailureKind};
use crate::interrupts::Interrupts;
use crate::report::stage_failure::failure_of;

/// What the command line says of a build.
pub(crate) struct BuildOptions {
    pub(crate) exports: Vec<ExportRequest>,
    pub(crate) checkpoints: BTreeSet<StageId>,
    pub(crate) steps: StepPolicy,
    pub(crate) start: Start,
    pub(crate) hints: ItemHints,
    pub(crate) stage_timeout: Option<Duration>,
    pub(crate) jobs: NonZeroUsize,
    pub(crate) run_directory: PathBuf,
    pub(crate) shells: ShellRequest,
    pub(crate) keeps_failed_trees: bool,
}

/// Gives the directory for one of several exports: the word that asked for it, below a common directory.
///
/// # Errors
/// The word, which can be any text that a manifest has as the name of a pipeline, leads out of that directory.
pub(crate) fn export_destination(directory: &Path, word: &str) -> Result<PathBuf, Failure> {
    let stays_below = |component| matches!(component, Component::Normal(_));
    if !word.is_empty() && Path::new(word).components().all(stays_below) {
        return Ok(directory.join(word));
    }
    let error = anyhow!(
        "the pipeline `{}` can not be exported under its name, which leads out of {}",
        word.escape_debug(),
        directory.display()
    );
    Err(Failure::new(FailureKind::Build, error)
        .with_hint("rename the pipeline in the manifest, or export it by its id"))
}

/// A build that came to an end.
pub(crate) struct Built {
    pub(crate) outcome: Outcome,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
}

/// Makes this process one that can build: root, and with mounts of its own. To be called while there
/// is one thread only; nothing that is mounted afterwards outlives the process.
pub(crate) fn become_builder() -> Result<(), Failure> {
    privilege::check().map_err(|error| Failure::new(FailureKind::Build, error))?;
    enter_private_mount_namespace()?;
    Ok(())
}

/// Opens the store that was named, with a new limit if one was given.
pub(crate) fn open_store(path: &Path, maximum_size: Option<MaximumSize>) -> Result<Store> {
    let path = std::path::absolute(path)
        .with_context(|| format!("finding the store {}", path.display()))?;
    let options = StoreOptions {
        maximum_size,
        ..StoreOptions::default()
    };
    Store::open(&path, &options)
}

/// Gives the directory for sockets: the one that was named, or upstream's default.
pub(crate) fn run_directory(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(named) = named {
        return std::path::absolute(named)
            .with_context(|| format!("finding the directory {}", named.display()));
    }
    let user = rustix::process::getuid();
    if user.is_root() {
        return Ok(PathBuf::from(DEFAULT_RUN_DIRECTORY));
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty());
    Ok(match runtime {
        Some(runtime) => Path::new(&runtime).join("osbuild"),
        None => PathBuf::from(format!("/run/user/{}/osbuild", user.as_raw())),
    })
}

/// Builds. What fails on the way is in the outcome.
pub(crate) fn run_build(
    manifest: &Manifest,
    catalog: &ModuleCatalog,
    store: &Store,
    options: &BuildOptions,
    observer: &mut dyn Observer,
) -> Result<Built, Failure> {
    let cancel = CancelToken::new()?;
    let interrupts = Interrupts::listen(cancel.clone())?;
    let request = BuildRequest {
        program: std::env::current_exe().context("finding this program's own file")?,
        exports: options.exports.clone(),
        checkpoints: options.checkpoints.clone(),
        steps: options.steps.clone(),
        start: options.start,
        hints: options.hints.clone(),
        stage_timeout: options.stage_timeout,
        jobs: options.jobs,
        run_directory: options.run_directory.clone(),
        shells: options.shells.clone(),
        keeps_failed_trees: options.keeps_failed_trees,
        cancel,
    };
    let mut outcome = build(manifest, &request, store, catalog, observer)?;
    let signal = interrupts.signal();
    if signal.is_some() && outcome.failure.is_some() {
        outcome.failure = Some(FailedAt::Interrupted);
    }
    if !options.checkpoints.is_empty() || options.keeps_failed_trees {
        // What was kept on request is to survive a power cut, too.
        store.flush()?;
    }
    Ok(Built { outcome, signal })
}

/// Whether to say how to go on with what failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Say it.
    Wanted,
    /// Say nothing: the caller asked for errors only.
    Unwanted,
}

/// Builds; what came of it is noted where the build is remembered.
///
/// # Errors
/// What ended the build.
pub(crate) fn run_remembered(
    manifest: &Manifest,
    catalog: &ModuleCatalog,
    store: &Store,
    options: &BuildOptions,
    observer: &mut dyn Observer,
    remembered: Option<Remembered>,
    advice: Advice,
) -> Result<(), Failure> {
    let failure = match run_build(manifest, catalog, store, options, observer) {
        Ok(built) => failure_of(manifest, built.outcome, built.signal),
        Err(failure) => Some(failure),
    };
    match settle(remembered, failure, advice) {
        None => Ok(()),
        Some(failure) => Err(failure),
    }
}

/// Notes what came of a build that is remembered, and adds how to go on with it to what ended it.
pub(crate) fn settle(
    remembered: Option<Remembered>,
    failure: Option<Failure>,
    advice: Advice,
) -> Option<Failure> {
    let command = remembered.and_then(|build| build.end(failure.as_ref()));
    let failure = failure?;
    Some(match command {
        Some(command) if advice == Advice::Wanted => failure.with_hint(format!(
            "`{command}` goes on from there once the cause is mended"
        )),
        _ => failure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_stay_below_the_output_directory() {
        let below = |word| export_destination(Path::new("out"), word).ok();
        assert_eq!(below("image"), Some(PathBuf::from("out/image")));
        assert_eq!(below("a/b"), Some(PathBuf::from("out/a/b")));
        for word in ["", "/etc", "..", "../x", "a/../../x"] {
            assert_eq!(below(word), None, "{word}");
        }
    }
}
