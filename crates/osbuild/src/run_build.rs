//! Runs the engine on a resolved manifest: privileges, store, signals.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use osbuild_engine::event::Observer;
use osbuild_engine::execute::{BuildRequest, ExportRequest, build};
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
