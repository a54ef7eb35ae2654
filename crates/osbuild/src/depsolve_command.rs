//! `osbuild depsolve`, and the program name `osbuild-depsolve-dnf`: which packages a request of upstream's tool means.
//!
//! | file | does |
//! |---|---|
//! | `request` | reads the request, of version 1 or 2 |
//! | `chooser` | reads the repositories and chooses |
//! | `specs` | says which packages a spec means |
//! | `response` | writes the response |

mod chooser;
mod request;
mod response;
mod specs;

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Parser};
use serde_json::{Value, json};

use crate::failure::{FailureKind, Failures};
use crate::tell;
use chooser::Chooser;
use request::{Command, Request};

/// The name under which this program is upstream's tool of the same name.
const PROGRAM: &str = "osbuild-depsolve-dnf";

/// `osbuild depsolve`.
#[derive(Debug, Args)]
pub(crate) struct DepsolveArguments {}

/// Why there is no answer; the kinds are upstream's.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    kind: &'static str,
    reason: String,
}

impl Refusal {
    fn invalid(reason: impl Into<String>) -> Self {
        Self {
            kind: "InvalidRequest",
            reason: reason.into(),
        }
    }

    /// What upstream's tool can do, and this not yet.
    fn missing(what: &str) -> Self {
        Self {
            kind: "NotImplementedError",
            reason: format!("{what} is not there yet"),
        }
    }

    fn repository(error: &anyhow::Error) -> Self {
        Self {
            kind: "RepoError",
            reason: format!("There was a problem reading a repository: {error:#}"),
        }
    }
}

/// Answers the request on standard input; a refusal is an object on standard output too, with exit code 1.
pub(crate) fn run(_: &DepsolveArguments) -> Result<(), Failures> {
    match answer() {
        Ok(response) => {
            tell::data(&format!("{response}\n"));
            Ok(())
        }
        Err(refusal) => {
            tell::note(&format!("{}: {}", refusal.kind, refusal.reason));
            let object = json!({ "kind": refusal.kind, "reason": refusal.reason });
            tell::data(&format!("{object}\n"));
            Err(Failures::already_told(FailureKind::Build))
        }
    }
}

fn answer() -> Result<Value, Refusal> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Refusal::invalid(format!("reading standard input: {error}")))?;
    let document: Value = serde_json::from_str(&text)
        .map_err(|error| Refusal::invalid(format!("the request is no JSON: {error}")))?;
    let request = Request::parse(&document)?;
    let chooser = Chooser::load(&request)?;
    match &request.command {
        Command::Depsolve(transactions) => {
            let chosen = chooser.depsolve(transactions)?;
            response::depsolve(request.version, &chooser, &chosen)
        }
        Command::Dump => response::list(request.version, &chooser, &chooser.all()),
        Command::Search { names, is_latest } => response::list(
            request.version,
            &chooser,
            &chooser.search(names, *is_latest),
        ),
    }
}

#[derive(Debug, Parser)]
#[command(name = PROGRAM, about = "Choose packages: a request on standard input, the response on standard output")]
struct ProgramArguments {
    #[command(flatten)]
    arguments: DepsolveArguments,
}

/// Runs as `osbuild-depsolve-dnf` if that is the name this program was started by.
pub(crate) fn run_if_requested() -> Option<ExitCode> {
    let name = std::env::args_os().next()?;
    if Path::new(&name).file_name()? != PROGRAM {
        return None;
    }
    let arguments = ProgramArguments::parse().arguments;
    Some(match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}
