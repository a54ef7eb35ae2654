//! `osbuild diff A B`, and the program name `tree-diff`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, ValueEnum};
use osbuild_inspect::tree_diff::tree_diff;
use osbuild_inspect::{Subject, compare};

use crate::failure::{Failure, FailureKind, Failures};
use crate::report::comparison_html::html;
use crate::report::comparison_text::{Extent, text};
use crate::tell;

/// The name under which this program is upstream's tool of the same name.
const TREE_DIFF: &str = "tree-diff";

/// `osbuild diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// What was before: a directory, a tar archive or a disk image
    #[arg(value_name = "BEFORE")]
    before: PathBuf,

    /// What is to be compared with it
    #[arg(value_name = "AFTER")]
    after: PathBuf,

    /// How to show it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: DiffFormat,

    /// Show every file, also the content of directories that are on one side only
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DiffFormat {
    /// For reading
    Text,
    /// For programs
    Json,
    /// A page of its own, for a browser
    Html,
}

/// Compares, and tells by the exit code whether anything differs, as diff(1) does: 1 if so, 2 if it can not tell.
pub(crate) fn run(arguments: &DiffArguments) -> Result<(), Failures> {
    let (before, after) = rayon::join(
        || Subject::read(&arguments.before),
        || Subject::read(&arguments.after),
    );
    let found = before
        .and_then(|before| compare(&before, &after?))
        .map_err(|error| Failure::new(FailureKind::Document, error))?;
    let names = [&arguments.before, &arguments.after].map(|path| path.display().to_string());
    let report = match arguments.format {
        DiffFormat::Text if arguments.all => text(&found, Extent::Everything),
        DiffFormat::Text => text(&found, Extent::Summary),
        DiffFormat::Json => {
            let json = serde_json::to_string_pretty(&found).context("writing the comparison")?;
            format!("{json}\n")
        }
        DiffFormat::Html => html(&names, &found),
    };
    tell::data(&report);
    if found.is_empty() {
        return Ok(());
    }
    Err(Failures::already_told(FailureKind::Build))
}

/// Upstream's command line of `tree-diff`.
#[derive(Debug, Parser)]
#[command(name = TREE_DIFF, about = "Compare two directories with everything below them")]
struct TreeDiffArguments {
    #[arg(value_name = "DIRECTORY1")]
    before: PathBuf,
    #[arg(value_name = "DIRECTORY2")]
    after: PathBuf,
}

/// Runs as `tree-diff` if that is the name this program was started by.
pub(crate) fn run_if_requested() -> Option<ExitCode> {
    let name = std::env::args_os().next()?;
    if std::path::Path::new(&name).file_name()? != TREE_DIFF {
        return None;
    }
    let arguments = TreeDiffArguments::parse();
    match tree_diff(&arguments.before, &arguments.after) {
        Ok(report) => {
            tell::data(&format!("{report}\n"));
            Some(ExitCode::SUCCESS)
        }
        Err(error) => {
            tell::failures(&Failures::from(Failure::from(error)));
            Some(ExitCode::FAILURE)
        }
    }
}
