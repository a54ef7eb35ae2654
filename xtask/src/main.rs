//! Chores of the project: `cargo xtask new-stage NAME` starts a stage, `cargo xtask check` finds what was forgotten.
//!
//! A crate of its own because it runs beside the program, never in it.

#![expect(clippy::print_stdout, reason = "a chore tells what it did")]

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
    /// Run every check of the checked-in lists
    Check,
}

fn main() -> Result<()> {
    let stages = stages_source()?;
    match CommandLine::parse().chore {
        Chore::NewStage {
            name: Some(name), ..
        } => {
            for file in new_stage::write(&stages, &name)? {
                println!("wrote {}", file.display());
            }
            println!("now fill them in; `cargo test -p osbuild-stages` says what is missing");
        }
        Chore::NewStage { name: None, .. } | Chore::Check => {
            stage_list::check(&stages)?;
            println!("the lists of stages are up to date");
        }
    }
    Ok(())
}

/// The source folder of the stages, found from here rather than from where cargo was started.
fn stages_source() -> Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the workspace holds this crate")?;
    Ok(workspace.join("crates/osbuild-stages/src"))
}
