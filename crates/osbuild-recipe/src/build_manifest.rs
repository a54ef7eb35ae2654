//! From a recipe's file to its manifest: the whole way, for the commands.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::attachments::Attachments;
use crate::compile::{Export, compile, exports};
use crate::lock::{Lock, StaleLock};
use crate::parse::parse;
use crate::recipe::Recipe;
use crate::solve::{PackageSolver, solve};

/// What a recipe becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledRecipe {
    /// The manifest, format 2.
    pub manifest_text: String,
    /// The lock it was made with.
    pub lock: Lock,
    /// The pipelines to export and the file each gives.
    pub exports: Vec<Export>,
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

/// A lock does not belong to its recipe any more.
#[derive(Debug, thiserror::Error)]
#[error("{} is stale: {reason}", path.display())]
pub struct StaleLockFile {
    /// The lock's file.
    pub path: PathBuf,
    /// What differs.
    pub reason: StaleLock,
}

impl StaleLockFile {
    /// What to do about it.
    pub fn hint(&self, recipe: &Path) -> String {
        format!(
            "run `osbuild lock {}` to choose the packages anew",
            recipe.display()
        )
    }
}

/// Reads and checks a recipe; a [`crate::RecipeErrors`] in the error chain lists what is wrong in it.
pub fn read_recipe(path: &Path) -> Result<Recipe> {
    let text = fs_err::read_to_string(path).context("reading the recipe")?;
    Ok(parse(&text, path)?)
}

/// Chooses every package of a recipe anew and gives the lock.
pub fn lock_recipe(path: &Path, solver: &dyn PackageSolver) -> Result<Lock> {
    solve(&read_recipe(path)?, solver)
}

/// Makes the manifest of a recipe, by its lock or by solving.
///
/// The error is, or has in its chain, a [`crate::RecipeErrors`] for a wrong recipe and a [`StaleLockFile`] for a lock
/// that is not the recipe's.
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
        warnings: recipe.warnings(),
        lock,
    })
}

fn lock_file(recipe: &Path, choice: &LockChoice) -> Option<PathBuf> {
    match choice {
        LockChoice::Fresh => None,
        LockChoice::File(file) => Some(file.clone()),
        LockChoice::Beside => Some(Lock::path_for(recipe)).filter(|file| file.exists()),
    }
}

fn read_lock(file: &Path, recipe: &Recipe) -> Result<Lock> {
    let text = fs_err::read_to_string(file).context("reading the lock")?;
    let lock = Lock::from_json(&text).with_context(|| format!("reading {}", file.display()))?;
    lock.check(recipe).map_err(|reason| StaleLockFile {
        path: file.to_owned(),
        reason,
    })?;
    Ok(lock)
}
