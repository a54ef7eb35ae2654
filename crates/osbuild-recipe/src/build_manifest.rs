//! From a recipe's file to its manifest: the whole way, for the commands.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::attachments::Attachments;
use crate::compile::{Export, compile, exports};
use crate::lock::{Lock, LockError, UnusableLock};
use crate::parse::parse;
use crate::problem::{Place, RecipeError, RecipeErrors};
use crate::recipe::Recipe;
use crate::solve::{PackageSolver, solve};

/// Far more than a person writes, in bytes; a parsed recipe takes many times its size in memory.
const LARGEST_RECIPE: u64 = 16 << 20;

/// What a recipe becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledRecipe {
    /// The manifest, format 2.
    pub manifest_text: String,
    /// The lock it was made with.
    pub lock: Lock,
    /// The pipelines to export and the file each gives.
    pub exports: Vec<Export>,
    /// Whether packages come from where the host's own apt has them, unless a mirror was named.
    pub uses_host_repositories: bool,
    /// What is doubtful but no error.
    pub warnings: Vec<String>,
}

/// Which lock a manifest is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockChoice {
    /// The one beside the recipe when there is one, else a fresh one.
    Beside,
    /// Exactly this file.
    File(PathBuf),
    /// A fresh one, whatever lies beside the recipe.
    Fresh,
}

/// What solving may use.
pub struct SolveEnvironment<'a> {
    /// Chooses packages when there is no lock.
    pub solver: &'a dyn PackageSolver,
    /// Which lock to use.
    pub lock: LockChoice,
}

/// Reads and checks a recipe; a [`RecipeErrors`] in the error chain lists what is wrong in it.
pub fn read_recipe(path: &Path) -> Result<Recipe> {
    let size = fs_err::metadata(path).context("reading the recipe")?.len();
    if size > LARGEST_RECIPE {
        bail!(
            "`{}` has {} MiB, and a recipe may have {} MiB at most; name large files with `source`",
            path.display(),
            size >> 20,
            LARGEST_RECIPE >> 20
        );
    }
    let bytes = fs_err::read(path).context("reading the recipe")?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let place = Place::of_offset(error.as_bytes(), error.utf8_error().valid_up_to());
        RecipeErrors {
            path: path.to_owned(),
            errors: vec![
                RecipeError::new(place, "the recipe is not UTF-8 text")
                    .hint("save it as UTF-8; `iconv -t UTF-8` converts it"),
            ],
        }
    })?;
    Ok(parse(&text, path)?)
}

/// Chooses every package of a recipe anew and gives the lock.
pub fn lock_recipe(path: &Path, solver: &dyn PackageSolver) -> Result<Lock> {
    solve(&read_recipe(path)?, solver)
}

/// Makes the manifest of a recipe, by its lock or by solving.
///
/// The error is, or has in its chain, a [`RecipeErrors`] for a wrong recipe and an [`UnusableLock`] for a lock
/// that is damaged or not the recipe's.
pub fn build_manifest(path: &Path, environment: &SolveEnvironment<'_>) -> Result<CompiledRecipe> {
    let recipe = read_recipe(path)?;
    let attachments = Attachments::read(&recipe)?;
    let lock = match lock_file(path, &environment.lock) {
        Some(file) => read_lock(&file, &recipe)?,
        None => solve(&recipe, environment.solver)?,
    };
    Ok(CompiledRecipe {
        manifest_text: compile(&recipe, &attachments, &lock)?,
        exports: exports(&recipe),
        uses_host_repositories: recipe.repositories.is_empty(),
        warnings: recipe.warnings(),
        lock,
    })
}

fn lock_file(recipe: &Path, choice: &LockChoice) -> Option<PathBuf> {
    match choice {
        LockChoice::Fresh => None,
        LockChoice::File(file) => Some(file.clone()),
        LockChoice::Beside => {
            Some(Lock::path_for(recipe)).filter(|file| file.is_symlink() || file.exists())
        }
    }
}

fn read_lock(file: &Path, recipe: &Recipe) -> Result<Lock> {
    let unusable = |reason| UnusableLock {
        path: file.to_owned(),
        reason,
    };
    let bytes = fs_err::read(file).context("reading the lock")?;
    let text = String::from_utf8(bytes).map_err(|error| {
        unusable(LockError::Garbled {
            reason: "it is not UTF-8 text".to_owned(),
            place: Place::of_offset(error.as_bytes(), error.utf8_error().valid_up_to()),
        })
    })?;
    let lock = Lock::from_json(&text).map_err(unusable)?;
    lock.check(recipe).map_err(|stale| unusable(stale.into()))?;
    Ok(lock)
}
