//! `osbuild image-info TARGET`, and the program names `osbuild-image-info` and `image-info`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser};
use osbuild_inspect::image_info::image_info;

use crate::failure::{Failure, FailureKind, Failures};
use crate::tell;

/// The names under which this program is upstream's tool: today's, and the one of 2020.
const PROGRAMS: [&str; 2] = ["osbuild-image-info", "image-info"];

/// `osbuild image-info`.
#[derive(Debug, Args)]
pub(crate) struct ImageInfoArguments {
    /// A directory, a tar archive or a disk image
    #[arg(value_name = "TARGET")]
    target: PathBuf,
}

/// Prints the report of one image.
pub(crate) fn run(arguments: &ImageInfoArguments) -> Result<(), Failures> {
    let report = image_info(&arguments.target)
        .map_err(|error| Failure::new(FailureKind::Document, error))?;
    tell::data(&format!("{report}\n"));
    Ok(())
}

/// Upstream's command line of `osbuild-image-info`.
#[derive(Debug, Parser)]
#[command(name = PROGRAMS[0], about = "Report what a directory, an archive or a disk image holds")]
struct ProgramArguments {
    #[command(flatten)]
    arguments: ImageInfoArguments,
}

/// Runs as `osbuild-image-info` if one of its names is the one this program was started by.
pub(crate) fn run_if_requested() -> Option<ExitCode> {
    let name = std::env::args_os().next()?;
    let name = Path::new(&name).file_name()?.to_str()?;
    if !PROGRAMS.contains(&name) {
        return None;
    }
    match run(&ProgramArguments::parse().arguments) {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(failures) => {
            tell::failures(&failures);
            Some(ExitCode::FAILURE)
        }
    }
}
