//! A shell in a sandbox, on the terminal of the caller.

use std::ffi::OsString;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::bubblewrap;
use crate::cancel::CancelToken;
use crate::spec::SandboxSpec;

/// The shell, as upstream has it.
const SHELL: &str = "/bin/bash";

/// How often to look whether the shell has ended, or the build was cancelled: a person waits for it.
const POLL: Duration = Duration::from_millis(50);

/// Runs a shell instead of the program of `spec` and waits for its end, however it ends. Its prompt shows `name`.
///
/// Bubblewrap makes the sandbox; it stays in the session of the caller, so that the shell has job control and Ctrl-C goes
/// to what runs in it.
///
/// # Errors
/// The sandbox could not be made.
pub fn run(spec: &SandboxSpec, name: &str, cancel: &CancelToken) -> Result<()> {
    let spec = SandboxSpec {
        command: vec![SHELL.into()],
        ..spec.clone()
    };
    let mut shell = Command::new(bubblewrap::find()?)
        .args(interactive(bubblewrap::arguments(&spec)))
        .env_clear()
        .envs(spec.environment.iter().map(|(name, value)| (name, value)))
        .env("PS1", format!("[{name}] \\w \\$ "))
        .spawn()
        .context("starting bubblewrap")?;
    let ended = wait(&mut shell, cancel);
    if ended.is_err() {
        // Nobody else will end it.
        shell.kill().context("ending a shell")?;
        shell.wait().context("waiting for a shell")?;
    }
    ended
}

fn wait(shell: &mut Child, cancel: &CancelToken) -> Result<()> {
    loop {
        if let Some(status) = shell.try_wait().context("waiting for a shell")? {
            tracing::debug!(%status, "the shell has ended");
            return Ok(());
        }
        if cancel.is_cancelled() {
            shell.kill().context("ending a shell")?;
            shell.wait().context("waiting for a shell")?;
            return Ok(());
        }
        thread::sleep(POLL);
    }
}

/// Leaves out what is for programs that nobody talks to: the session of its own, and the pipe for the status.
fn interactive(arguments: Vec<OsString>) -> Vec<OsString> {
    let mut kept = Vec::with_capacity(arguments.len());
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if argument == "--new-session" {
            continue;
        }
        if argument == "--json-status-fd" {
            arguments.next();
            continue;
        }
        kept.push(argument);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_has_the_terminal() {
        let words = [
            "--chdir",
            "/",
            "--new-session",
            "--json-status-fd",
            "3",
            "--",
            "sh",
        ];
        let kept = interactive(words.map(OsString::from).to_vec());
        assert_eq!(kept, ["--chdir", "/", "--", "sh"]);
    }
}
