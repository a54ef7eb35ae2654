//! What a stage is, and how one is run inside the sandbox.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::context::StageContext;
use crate::error;
use crate::option_shape::{OptionShape, trace};
use crate::output::Output;

/// Where the engine leaves a stage's arguments.
const ARGUMENTS_PATH: &str = "/run/osbuild/api/arguments";

/// Python's files come out as 0644 and directories as 0755, whatever the umask of whoever called the engine.
const UMASK: u32 = 0o022;

/// A stage: its name, its published description and schema, and what it does.
#[derive(Clone, Copy, Debug)]
pub struct StageModule {
    /// The name in manifests, such as `org.osbuild.hostname`.
    pub name: &'static str,
    /// The text of its `meta.json`.
    pub meta: &'static str,
    /// Does it.
    pub run: fn(&StageContext) -> Result<()>,
    /// Tells which options it reads; `None` if it takes anything.
    pub option_shape: fn() -> Option<OptionShape>,
}

impl StageModule {
    /// Describes a stage whose options are `Options`.
    pub const fn new<Options: DeserializeOwned>(
        name: &'static str,
        meta: &'static str,
        run: fn(&StageContext) -> Result<()>,
    ) -> Self {
        Self {
            name,
            meta,
            run,
            option_shape: trace::<Options>,
        }
    }
}

/// The options of a stage that has none.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}

/// Runs a stage on the arguments the engine left in the sandbox, and reports how it went as an exit code.
pub fn run_stage(module: &StageModule) -> ExitCode {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(UMASK));
    let output = Output::standard();
    let result = StageContext::from_file(Path::new(ARGUMENTS_PATH), output.clone())
        .and_then(|context| (module.run)(&context));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (line, code) = error::describe(&error);
            if let Some(line) = line {
                output.line(line);
            }
            code
        }
    }
}
