//! Chores of the project: `cargo xtask new-stage NAME` starts a stage, `cargo xtask generate` writes the list of modules,
//! `cargo xtask check` finds what was forgotten.
//!
//! A crate of its own because it runs beside the program, never in it.

#![expect(clippy::print_stdout, reason = "a chore tells what it did")]

mod module_list;
mod module_pages;
mod new_stage;
mod stage_list;
mod stage_template;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "xtask", about = "Chores of the project")]
struct CommandLine {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Start a stage: its two files, its lines in the tables, its first tests
    NewStage {
        /// The name in manifests, such as `org.osbuild.motd` or just `motd`
        #[arg(required_unless_present = "check")]
        name: Option<String>,
        /// Write nothing; fail if the tables and the files do not agree
        #[arg(long, conflicts_with = "name")]
        check: bool,
    },
    /// Write `docs/modules/` from the descriptions of the built-in modules
    Generate {
        /// Write nothing; fail if they are out of date
        #[arg(long)]
        check: bool,
    },
    /// Run every check of the checked-in lists
    Check,
}

fn main() -> Result<()> {
    let workspace = workspace()?;
    let stages = stages_source(&workspace);
    match CommandLine::parse().chore {
        Chore::NewStage {
            name: Some(name), ..
        } => {
            for file in new_stage::write(&stages, &name)? {
                println!("wrote {}", file.display());
            }
            println!("now fill them in; `cargo test -p osbuild-stages` says what is missing");
        }
        Chore::NewStage { name: None, .. } => check_stage_lists(&stages)?,
        Chore::Generate { check: false } => println!("wrote {}", module_pages::write(&workspace)?),
        Chore::Generate { check: true } => check_module_pages(&workspace)?,
        Chore::Check => {
            check_stage_lists(&stages)?;
            check_module_pages(&workspace)?;
        }
    }
    Ok(())
}

fn check_stage_lists(stages: &Path) -> Result<()> {
    stage_list::check(stages)?;
    println!("the lists of stages are up to date");
    Ok(())
}

fn check_module_pages(workspace: &Path) -> Result<()> {
    module_pages::check(workspace)?;
    println!("the pages of modules are up to date");
    Ok(())
}

/// The root of the project, found from here rather than from where cargo was started.
fn workspace() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = here.parent().context("the workspace holds this crate")?;
    Ok(workspace.to_owned())
}

/// The source folder of the stages.
fn stages_source(workspace: &Path) -> PathBuf {
    workspace.join("crates/osbuild-stages/src")
}
