//! Carries a [`SandboxSpec`] out, one way or the other.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::cancel::CancelToken;
use crate::spec::SandboxSpec;
use crate::{bubblewrap, init, namespaces};

/// The variable that chooses the executor: `namespaces` or `bubblewrap`.
pub const VARIABLE: &str = "OSBUILD_SANDBOX";

/// A way to run a program in a sandbox. All ways show the program the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executor {
    /// Namespaces and mounts made by this program itself.
    Namespaces,
    /// The program `bwrap`.
    Bubblewrap,
}

impl Executor {
    /// Takes what [`VARIABLE`] names, else the fastest that works in this program.
    pub fn from_environment() -> Result<Self> {
        match std::env::var_os(VARIABLE) {
            Some(name) => name.to_string_lossy().parse(),
            None if init::is_available() => Ok(Self::Namespaces),
            // A test program, say, whose `main` does not call `main_if_requested`.
            None => Ok(Self::Bubblewrap),
        }
    }
}

impl FromStr for Executor {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "namespaces" => Ok(Self::Namespaces),
            "bubblewrap" => Ok(Self::Bubblewrap),
            other => {
                bail!("{VARIABLE} is `{other}`; it can be `namespaces` or `bubblewrap`")
            }
        }
    }
}

/// What ends a program that does not end by itself.
#[derive(Clone, Debug)]
pub struct Limits<'a> {
    /// The longest run time; none for no limit.
    pub timeout: Option<Duration>,
    /// A token that ends the program when cancelled.
    pub cancel: &'a CancelToken,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Why it ended.
    pub reason: Reason,
    /// From the first preparation until nothing of the sandbox was left.
    pub duration: Duration,
}

impl Finished {
    /// Tells whether the program ended by itself with status 0.
    pub fn success(&self) -> bool {
        self.reason == Reason::Exited { status: 0 }
    }
}

/// Why a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// By itself.
    Exited {
        /// The exit status.
        status: i32,
    },
    /// By a signal.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// It ran longer than allowed, and was killed with all it had started.
    TimedOut,
    /// Its token was cancelled, and it was killed with all it had started.
    Cancelled,
}

/// Runs a sandbox to its end with the executor that [`Executor::from_environment`] names.
///
/// Both output streams of the program are one pipe; what arrives is handed to `on_output` at once, in pieces
/// of at most 32 KiB that may split characters.
///
/// # Errors
/// The sandbox could not be made, or the program could not be started in it. A program that fails is no error.
pub fn run(
    spec: &SandboxSpec,
    limits: &Limits<'_>,
    on_output: &mut dyn FnMut(&[u8]),
) -> Result<Finished> {
    Executor::from_environment()?.run(spec, limits, on_output)
}

impl Executor {
    /// Runs a sandbox to its end; see [`run`].
    pub fn run(
        self,
        spec: &SandboxSpec,
        limits: &Limits<'_>,
        on_output: &mut dyn FnMut(&[u8]),
    ) -> Result<Finished> {
        match self {
            Self::Namespaces => namespaces::run(spec, limits, on_output),
            Self::Bubblewrap => bubblewrap::run(spec, limits, on_output),
        }
    }
}
