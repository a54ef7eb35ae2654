//! `osbuild manifest` and `osbuild lock`, and what `osbuild build` needs of a recipe.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use osbuild_packages::deb::solve::SolveError;
use osbuild_packages::rpm::solve::SolveError as RpmSolveError;
use osbuild_recipe::{
    AptSolver, CompiledRecipe, Lock, LockChoice, RecipeErrors, RpmSolver, SolveEnvironment,
    SolverOfKind, UnusableLock, build_manifest, lock_recipe, read_recipe, replace_file,
};

use crate::command_line::{LockArguments, RecipeArguments, RepositoryArguments};
use crate::failure::{Failure, FailureKind, Failures, Place};
use crate::mistaken_kind::manifest_as_recipe;
use crate::tell;

/// Tells a recipe from a manifest by the file's ending.
pub(crate) fn is_recipe(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending == "yaml" || ending == "yml")
}

/// Tells everything that is wrong with a recipe itself.
pub(crate) fn check_recipe(path: &Path) -> Result<(), Failures> {
    if let Some(failure) = manifest_as_recipe(path) {
        return Err(failure.into());
    }
    read_recipe(path)
        .map(drop)
        .map_err(|error| failures(path, error))
}

/// Makes the manifest of a recipe, by the lock beside it or by choosing packages now.
pub(crate) fn compile_recipe(
    path: &Path,
    repository: &RepositoryArguments,
    store: &Path,
) -> Result<CompiledRecipe, Failures> {
    let solver = solver(repository, store);
    let environment = SolveEnvironment {
        solver: &solver,
        lock: LockChoice::Beside,
    };
    let compiled = build_manifest(path, &environment).map_err(|error| failures(path, error))?;
    for warning in &compiled.warnings {
        tell::note(&format!("warning: {warning}"));
    }
    Ok(compiled)
}

/// Prints the manifest that a recipe becomes.
pub(crate) fn print_manifest(arguments: &RecipeArguments) -> Result<(), Failures> {
    let compiled = compile_recipe(&arguments.recipe, &arguments.repository, &arguments.store)?;
    tell::data(&compiled.manifest_text);
    Ok(())
}

/// Chooses the packages of a recipe and writes its lock.
pub(crate) fn write_lock(arguments: &LockArguments) -> Result<(), Failures> {
    let recipe = &arguments.recipe;
    let solver = solver(&recipe.repository, &recipe.store);
    let lock =
        lock_recipe(&recipe.recipe, &solver).map_err(|error| failures(&recipe.recipe, error))?;
    let path = arguments
        .output
        .clone()
        .unwrap_or_else(|| Lock::path_for(&recipe.recipe));
    replace_file(&path, &lock.to_json()).with_context(|| format!("writing {}", path.display()))?;
    let count = lock.packages.system.len() + lock.packages.build.len();
    tell::note(&format!("locked {count} packages in {}", path.display()));
    Ok(())
}

fn solver(repository: &RepositoryArguments, store: &Path) -> SolverOfKind<AptSolver, RpmSolver> {
    let cache = store.join("package-lists");
    let mut solver = AptSolver::new(&cache);
    if let Some(mirror) = &repository.mirror {
        solver = solver.with_mirror(mirror);
    }
    if let Some(keyring) = &repository.keyring {
        solver = solver.with_keyring(keyring);
    }
    SolverOfKind {
        deb: solver,
        rpm: RpmSolver::new(&cache),
    }
}

/// Finds out what kind of error it is, and describes it with its place and advice.
fn failures(path: &Path, error: anyhow::Error) -> Failures {
    if let Some(errors) = error.downcast_ref::<RecipeErrors>() {
        return recipe_failures(path, errors);
    }
    if let Some(unusable) = error.downcast_ref::<UnusableLock>() {
        let hint = unusable.hint(path);
        let place = unusable.reason.place().map(|place| Place {
            file: unusable.path.display().to_string(),
            text: lossy_text(&unusable.path),
            line: place.line,
            column: place.column,
            length: 1,
        });
        return Failure::new(FailureKind::Document, error)
            .with_place(place)
            .with_hint(hint)
            .into();
    }
    let cause = |error: &anyhow::Error| {
        let problem = error
            .chain()
            .find_map(<dyn std::error::Error>::downcast_ref);
        problem.map(|problem| advice_on_packages(path, problem))
    };
    let rpm_cause = |error: &anyhow::Error| {
        let problem = error
            .chain()
            .find_map(<dyn std::error::Error>::downcast_ref);
        problem.map(|problem| advice_on_rpm_packages(path, problem))
    };
    let (place, hint) = cause(&error)
        .or_else(|| rpm_cause(&error))
        .unwrap_or_default();
    let mut failure = Failure::new(FailureKind::Build, error).with_place(place);
    failure.hints.extend(hint.map(str::to_owned));
    failure.into()
}

/// Where the recipe asks for what can not be had, and what to do about it.
fn advice_on_packages(path: &Path, problem: &SolveError) -> (Option<Place>, Option<&'static str>) {
    match problem {
        SolveError::UnknownPackage { name, .. } => (
            place_of_word(path, name),
            Some(
                "check the spelling, or name the repository, suite or component that has it \
                 under `repositories`",
            ),
        ),
        SolveError::UnknownVersion { name, .. }
        | SolveError::Forbidden { name }
        | SolveError::Virtual { name, .. } => (place_of_word(path, name), None),
        SolveError::Unsatisfiable { .. } => (
            None,
            Some(
                "name a repository or suite that has what is missing under `repositories`, or \
                 leave out what needs it",
            ),
        ),
        _ => (None, None),
    }
}

/// The same for RPM packages.
fn advice_on_rpm_packages(
    path: &Path,
    problem: &RpmSolveError,
) -> (Option<Place>, Option<&'static str>) {
    match problem {
        RpmSolveError::UnknownPackage { name } => (
            place_of_word(path, name),
            Some("check the spelling, or name the repository that has it under `repositories`"),
        ),
        RpmSolveError::UnknownVersion { name, .. } => (place_of_word(path, name), None),
        RpmSolveError::Unsatisfiable { .. } => (
            None,
            Some(
                "name a repository that has what is missing under `repositories`, or leave out \
                 what needs it",
            ),
        ),
    }
}

/// Finds the first place of a package's name in a recipe; names that a section implies are not there.
fn place_of_word(path: &Path, word: &str) -> Option<Place> {
    let text = fs_err::read_to_string(path).ok()?;
    let is_part_of_name = |letter: char| letter.is_alphanumeric() || "-+.".contains(letter);
    let (line, column) = text.lines().enumerate().find_map(|(number, line)| {
        let code = line.split(" #").next().unwrap_or(line);
        let start = code.match_indices(word).find_map(|(start, _)| {
            let before = code[..start].chars().next_back();
            let after = code[start + word.len()..].chars().next();
            let is_whole = ![before, after].into_iter().flatten().any(is_part_of_name);
            is_whole.then_some(start)
        })?;
        Some((number + 1, code[..start].chars().count() + 1))
    })?;
    Some(Place {
        file: path.display().to_string(),
        line,
        column,
        length: word.chars().count(),
        text,
    })
}

/// The text to show a place in; a file that is no text has one, too.
fn lossy_text(path: &Path) -> String {
    let bytes = fs_err::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn recipe_failures(path: &Path, errors: &RecipeErrors) -> Failures {
    let text = lossy_text(path);
    let failures = errors
        .errors
        .iter()
        .map(|error| {
            let place = Place {
                file: path.display().to_string(),
                text: text.clone(),
                line: error.line,
                column: error.column,
                length: 1,
            };
            let failure = Failure::new(FailureKind::Document, anyhow!("{}", error.message))
                .with_place(Some(place));
            match &error.hint {
                Some(hint) => failure.with_hint(hint.clone()),
                None => failure,
            }
        })
        .collect();
    Failures(failures)
}
