//! `osbuild explain`: what a build would run, and why.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use osbuild_engine::execute::explain_build;
use osbuild_engine::explain::Explanation;
use osbuild_engine::module_catalog::ModuleCatalog;
use osbuild_engine::step_cache::StepPolicy;
use osbuild_manifest::manifest::Manifest;
use osbuild_store::{Store, StoreOptions};

use crate::build_command::load_for_build;
use crate::command_line::RepositoryArguments;
use crate::failure::{Failure, FailureKind, Failures};
use crate::manifest_command::open_named_catalog;
use crate::manifest_document::read_text;
use crate::recipe_commands::{check_recipe, compile_recipe, is_recipe};
use crate::store_place::{default_store, tell_what_is_passed_over};
use crate::tell;

/// `osbuild explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// The recipe (`.yaml`) or manifest (`.json`)
    #[arg(value_name = "FILE", required_unless_present = "last")]
    file: Option<PathBuf>,

    /// Say it of the last build that ran anything, instead of one to come
    #[arg(long, conflicts_with = "file")]
    last: bool,

    /// Directory of downloads and built trees
    #[arg(long, visible_alias = "cache", value_name = "DIR", default_value_os_t = default_store())]
    store: PathBuf,

    /// Directory of modules to use besides the built-in ones, and instead of those of the same name
    #[arg(short, long, value_name = "DIR")]
    libdir: Option<PathBuf>,

    /// Of a manifest, the pipelines that would be exported; the last one if none is named
    #[arg(long, value_name = "NAME")]
    export: Vec<String>,

    /// As for `osbuild build`
    #[arg(long, value_name = "STAGE")]
    cache_from: Option<String>,

    #[command(flatten)]
    repository: RepositoryArguments,
}

/// Explains a build to come, or the last one.
pub(crate) fn run(arguments: &ExplainArguments) -> Result<(), Failures> {
    tell_what_is_passed_over(&arguments.store);
    let explanation = match &arguments.file {
        None => Explanation::of_last_build(&Store::open_to_read(&arguments.store)?)?.ok_or_else(
            || {
                let error = anyhow!("no build in {} has run anything", arguments.store.display());
                Failure::new(FailureKind::Build, error)
            },
        )?,
        Some(file) => {
            let catalog = open_named_catalog(arguments.libdir.as_deref())?;
            let (manifest, exports) = if is_recipe(file) {
                of_recipe(file, arguments, &catalog)?
            } else {
                of_manifest(file, arguments, &catalog)?
            };
            let policy = StepPolicy::On {
                from: arguments.cache_from.clone(),
            };
            let program = std::env::current_exe().context("finding this program's own file")?;
            let store = StoreToRead::open(&arguments.store)?;
            explain_build(
                &manifest,
                &exports,
                &policy,
                &program,
                &store.store,
                &catalog,
            )?
        }
    };
    tell::data(&explanation.to_text());
    Ok(())
}

/// A store, or an empty one for the time of this command where the first build has yet to make it.
struct StoreToRead {
    store: Store,
    _empty: Option<tempfile::TempDir>,
}

impl StoreToRead {
    fn open(place: &Path) -> anyhow::Result<Self> {
        let is_missing = place
            .symlink_metadata()
            .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
        if !is_missing {
            return Ok(Self {
                store: Store::open_to_read(place)?,
                _empty: None,
            });
        }
        let empty = tempfile::Builder::new().prefix("osbuild-").tempdir()?;
        Ok(Self {
            store: Store::open(empty.path(), &StoreOptions::default())?,
            _empty: Some(empty),
        })
    }
}

fn of_recipe(
    file: &Path,
    arguments: &ExplainArguments,
    catalog: &ModuleCatalog,
) -> Result<(Manifest, Vec<String>), Failures> {
    check_recipe(file)?;
    let compiled = compile_recipe(file, &arguments.repository, &arguments.store)?;
    let name = format!("manifest of {}", file.display());
    let manifest = load_for_build(&name, &compiled.manifest_text, catalog)?;
    let exports = compiled.exports.iter();
    let exports = exports.map(|export| export.pipeline.clone()).collect();
    Ok((manifest, exports))
}

fn of_manifest(
    file: &Path,
    arguments: &ExplainArguments,
    catalog: &ModuleCatalog,
) -> Result<(Manifest, Vec<String>), Failures> {
    let name = file.to_string_lossy();
    let manifest = load_for_build(&name, &read_text(&name)?, catalog)?;
    let exports = if arguments.export.is_empty() {
        let last = manifest.pipelines.last().map(|last| last.name.clone());
        last.into_iter().collect()
    } else {
        arguments.export.clone()
    };
    Ok((manifest, exports))
}
