//! Runs the engine on a resolved manifest: privileges, store, signals.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use osbuild_engine::event::Observer;
use osbuild_engine::execute::{BuildRequest, DEFAULT_RUN_DIRECTORY, ExportRequest, build};
use osbuild_engine::module_catalog::ModuleCatalog;
use osbuild_engine::outcome::{FailedAt, Outcome};
use osbuild_manifest::manifest::{Manifest, StageId};
use osbuild_sandbox::{CancelToken, enter_private_mount_namespace, privilege};
use osbuild_store::{Store, StoreOptions};

use crate::failure::{Failure, FailureKind};
use crate::interrupts::Interrupts;

/// What the command line says of a build.
pub(crate) struct BuildOptions<'a> {
    pub(crate) store: &'a Path,
    pub(crate) exports: Vec<ExportRequest>,
    pub(crate) checkpoints: BTreeSet<StageId>,
    pub(crate) stage_timeout: Option<Duration>,
    pub(crate) jobs: NonZeroUsize,
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

/// A build that came to an end, and its store.
pub(crate) struct Built {
    pub(crate) outcome: Outcome,
    pub(crate) store: Store,
}

/// Makes this process one that can build: root, and with mounts of its own. To be called while there
/// is one thread only; nothing that is mounted afterwards outlives the process.
pub(crate) fn become_builder() -> Result<(), Failure> {
    privilege::check().map_err(|error| Failure::new(FailureKind::Build, error))?;
    enter_private_mount_namespace()?;
    Ok(())
}

/// Builds. What fails on the way is in the outcome.
pub(crate) fn run_build(
    manifest: &Manifest,
    catalog: &ModuleCatalog,
    options: &BuildOptions<'_>,
    observer: &mut dyn Observer,
) -> Result<Built, Failure> {
    let store_path = std::path::absolute(options.store)
        .with_context(|| format!("finding the store {}", options.store.display()))?;
    let store = Store::open(&store_path, &StoreOptions::default())?;
    let cancel = CancelToken::new()?;
    let interrupts = Interrupts::listen(cancel.clone())?;
    let request = BuildRequest {
        program: std::env::current_exe().context("finding this program's own file")?,
        exports: options.exports.clone(),
        checkpoints: options.checkpoints.clone(),
        stage_timeout: options.stage_timeout,
        jobs: options.jobs,
        run_directory: PathBuf::from(DEFAULT_RUN_DIRECTORY),
        cancel,
    };
    let mut outcome = build(manifest, &request, &store, catalog, observer)?;
    if interrupts.came() && outcome.failure.is_some() {
        outcome.failure = Some(FailedAt::Interrupted);
    }
    if !options.checkpoints.is_empty() {
        // What was kept on request is to survive a power cut, too.
        store.flush()?;
    }
    Ok(Built { outcome, store })
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
