//! Starts upstream and this program.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

const DRIVER: &str = include_str!("upstream.py");

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Ran {
    /// The exit code; minus the signal's number where one ended it.
    pub code: i32,
    /// What went to standard output.
    pub stdout: String,
    /// What went to standard error.
    pub stderr: String,
}

/// Upstream's program, loaded once and forked for each command.
#[derive(Debug)]
pub struct Upstream {
    checkout: PathBuf,
    child: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Upstream {
    /// Starts it from `OSBUILD_UPSTREAM`.
    pub fn start() -> Result<Self> {
        let checkout = std::env::var_os("OSBUILD_UPSTREAM")
            .context("OSBUILD_UPSTREAM names no checkout of upstream osbuild")?;
        let checkout = fs_err::canonicalize(PathBuf::from(checkout))?;
        let python =
            std::env::var_os("OSBUILD_UPSTREAM_PYTHON").unwrap_or_else(|| "python3".into());
        // As root it builds: what a build that dies leaves mounted goes with its namespace.
        let is_root = fs_err::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0);
        let mut command = if is_root {
            let mut command = Command::new("unshare");
            command
                .args(["--mount", "--propagation", "private", "--"])
                .arg(&python);
            command
        } else {
            Command::new(&python)
        };
        let mut child = command
            .args(["-c", DRIVER])
            .arg(&checkout)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", python.display()))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (input, output) = input.zip(output).context("the driver has no pipes")?;
        Ok(Self {
            checkout,
            child,
            pipes: Mutex::new((input, BufReader::new(output))),
        })
    }

    /// The checkout, which is also a library directory.
    pub fn checkout(&self) -> &Path {
        &self.checkout
    }

    /// Runs a command line in a folder.
    pub fn run(&self, arguments: &[&str], folder: &Path) -> Result<Ran> {
        let answer = self.ask(&json!({"argv": arguments, "cwd": folder}))?;
        Ok(serde_json::from_value(answer)?)
    }

    /// The schemas of all modules, by class, name and format.
    pub fn schemas(&self) -> Result<Value> {
        self.ask(&json!({"schemas": true}))
    }

    fn ask(&self, request: &Value) -> Result<Value> {
        let mut pipes = self.pipes.lock().expect("no holder of the lock panics");
        let (input, output) = &mut *pipes;
        writeln!(input, "{request}")?;
        let mut line = String::new();
        output.read_line(&mut line)?;
        ensure!(
            !line.is_empty(),
            "upstream's driver ended; see its standard error"
        );
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // It has no state: nothing is lost whether this succeeds or not.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// Runs this program, named by `OSBUILD_BINARY`, in a folder, without what the environment says to it.
pub fn ours(arguments: &[&str], folder: &Path) -> Result<Ran> {
    let binary = std::env::var_os("OSBUILD_BINARY")
        .context("OSBUILD_BINARY names the program; `make conformance` sets it")?;
    let mut command = Command::new(binary);
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OSBUILD_") {
            command.env_remove(name);
        }
    }
    let output = command.output().context("starting OSBUILD_BINARY")?;
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
    Ok(Ran {
        code: output
            .status
            .code()
            .or(signal.map(|signal| -signal))
            .unwrap_or_default(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
