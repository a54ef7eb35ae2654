//! Programs of the build root, called by bare name through `PATH`.
//!
//! Every call leaves its argument vector in the stage's log, has no standard input unless given one, and sends both
//! its outputs to the log; an error tells the program, its status and its last lines.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use anyhow::{Context, Result};

use crate::error::StageError;
use crate::output::Output;
use crate::program_package;

/// How much of a program's output an error keeps.
const TAIL_LINES: usize = 20;
/// One read of a child's output.
const PIECE: usize = 32 * 1024;

/// A program about to be run.
#[derive(Debug)]
pub struct Command {
    inner: std::process::Command,
    input: Option<Vec<u8>>,
    output: Output,
    is_quiet: bool,
}

/// A program that ran and did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("Command '{}' {}", python_list(argv), python_status(*status))]
pub struct CommandFailed {
    argv: Vec<OsString>,
    status: ExitStatus,
    tail: String,
}

impl CommandFailed {
    /// Returns the argument vector.
    pub fn argv(&self) -> &[OsString] {
        &self.argv
    }

    /// Returns how it ended.
    pub fn status(&self) -> ExitStatus {
        self.status
    }

    /// Returns the last lines of its output.
    pub fn tail(&self) -> &str {
        &self.tail
    }
}

impl Command {
    /// Prepares a program; it talks to `output`.
    pub fn new(program: impl AsRef<OsStr>, output: Output) -> Self {
        Self {
            inner: std::process::Command::new(program),
            input: None,
            output,
            is_quiet: false,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.inner.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.inner.args(arguments);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.inner.env(name, value);
        self
    }

    /// Takes an environment variable away.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.inner.env_remove(name);
        self
    }

    /// Sets the directory it starts in.
    #[must_use]
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.inner.current_dir(directory);
        self
    }

    /// Gives it something to read.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Keeps the argument vector out of the log; its output still goes there.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.is_quiet = true;
        self
    }

    /// Runs it; anything but success is an error.
    pub fn run(self) -> Result<()> {
        let argv = self.argv();
        let (status, tail, _) = self.execute(Capture::Nothing)?;
        check(argv, status, tail)
    }

    /// Runs it and returns how it ended.
    pub fn status(self) -> Result<ExitStatus> {
        Ok(self.execute(Capture::Nothing)?.0)
    }

    /// Runs it and returns its standard output, which is kept out of the log; anything but success is an error.
    pub fn read(self) -> Result<Vec<u8>> {
        let argv = self.argv();
        let (status, tail, captured) = self.execute(Capture::StandardOutput)?;
        check(argv, status, tail)?;
        Ok(captured)
    }

    /// Runs it and returns how it ended and its standard output, which is kept out of the log.
    pub fn read_status(self) -> Result<(ExitStatus, Vec<u8>)> {
        let (status, _, captured) = self.execute(Capture::StandardOutput)?;
        Ok((status, captured))
    }

    /// Runs it with its standard output going straight to a file; errors as [`Self::run`].
    pub fn write_to(self, file: std::fs::File) -> Result<()> {
        let argv = self.argv();
        let (status, tail, _) = self.execute(Capture::File(file))?;
        check(argv, status, tail)
    }

    fn argv(&self) -> Vec<OsString> {
        std::iter::once(self.inner.get_program())
            .chain(self.inner.get_args())
            .map(OsStr::to_owned)
            .collect()
    }

    fn execute(mut self, capture: Capture) -> Result<(ExitStatus, String, Vec<u8>)> {
        let argv = self.argv();
        if !self.is_quiet {
            self.output.line(format_args!("$ {}", shell_line(&argv)));
        }
        let doing = || format!("running `{}`", argv[0].display());
        let (log_reader, log_writer) = io::pipe().with_context(doing)?;
        let (captured_reader, captured_writer) = match capture {
            Capture::Nothing => (
                None,
                Stdio::from(log_writer.try_clone().with_context(doing)?),
            ),
            Capture::StandardOutput => {
                let (reader, writer) = io::pipe().with_context(doing)?;
                (Some(reader), Stdio::from(writer))
            }
            Capture::File(file) => (None, Stdio::from(file)),
        };
        let stdin = if self.input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        self.inner
            .stdin(stdin)
            .stdout(captured_writer)
            .stderr(log_writer);
        let mut child = self
            .inner
            .spawn()
            .map_err(|error| not_started(&argv[0], error))?;
        // The builder holds our copies of the write ends: without this the pipes would never end.
        drop(self.inner);
        let (input, stdin) = (self.input.take(), child.stdin.take());
        let (tail, captured) = std::thread::scope(|scope| {
            let writer = scope.spawn(move || feed(input, stdin));
            let captured = scope.spawn(|| captured_reader.map_or(Ok(Vec::new()), read_all));
            let tail = copy_to_log(log_reader, &self.output);
            let captured = captured.join().expect("reading into memory does not panic");
            writer
                .join()
                .expect("writing to a pipe does not panic")
                .and(tail)
                .and_then(|tail| Ok((tail, captured?)))
        })
        .with_context(doing)?;
        let status = child.wait().with_context(doing)?;
        Ok((status, tail, captured))
    }
}

/// Which output of a child is kept from the log and returned.
#[derive(Debug)]
enum Capture {
    Nothing,
    StandardOutput,
    File(std::fs::File),
}

fn check(argv: Vec<OsString>, status: ExitStatus, tail: String) -> Result<()> {
    if status.success() {
        Ok(())
    } else {
        Err(CommandFailed { argv, status, tail }.into())
    }
}

/// A child may well end before it has read everything: that is its business.
fn feed(input: Option<Vec<u8>>, stdin: Option<std::process::ChildStdin>) -> io::Result<()> {
    let (Some(input), Some(mut stdin)) = (input, stdin) else {
        return Ok(());
    };
    match stdin.write_all(&input) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn read_all(mut reader: PipeReader) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Passes output on as it comes and keeps its last lines.
fn copy_to_log(mut reader: PipeReader, output: &Output) -> io::Result<String> {
    let mut tail = VecDeque::new();
    let mut piece = vec![0; PIECE];
    let mut line = Vec::new();
    loop {
        let length = match reader.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            length => length?,
        };
        if length == 0 {
            break;
        }
        output.write(&piece[..length]);
        for byte in &piece[..length] {
            if *byte == b'\n' {
                push_line(&mut tail, &mut line);
            } else {
                line.push(*byte);
            }
        }
    }
    if !line.is_empty() {
        push_line(&mut tail, &mut line);
    }
    Ok(Vec::from(tail).join("\n"))
}

fn push_line(tail: &mut VecDeque<String>, line: &mut Vec<u8>) {
    if tail.len() == TAIL_LINES {
        tail.pop_front();
    }
    tail.push_back(String::from_utf8_lossy(line).into_owned());
    line.clear();
}

fn not_started(program: &OsStr, error: io::Error) -> anyhow::Error {
    let name = program.to_string_lossy();
    if error.kind() != io::ErrorKind::NotFound {
        return anyhow::Error::new(error).context(format!("running `{name}`"));
    }
    let hint = program_package::hint(&name)
        .map(|hint| format!(": {hint}"))
        .unwrap_or_default();
    let text = format!("[Errno 2] No such file or directory: '{name}'{hint}");
    StageError::new("FileNotFoundError", text).into()
}

/// The way Python shows an argument vector in its errors.
fn python_list(argv: &[OsString]) -> String {
    let quoted: Vec<_> = argv
        .iter()
        .map(|argument| format!("'{}'", argument.display()))
        .collect();
    format!("[{}]", quoted.join(", "))
}

fn python_status(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("returned non-zero exit status {code}."),
        (None, Some(signal)) => format!("died with signal {signal}."),
        (None, None) => "did not end.".to_owned(),
    }
}

/// A line that can be pasted into a shell.
fn shell_line(argv: &[OsString]) -> String {
    argv.iter()
        .map(|argument| shell_word(&argument.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%^".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::describe;

    fn shell(script: &str, output: &Output) -> Command {
        Command::new("sh", output.clone()).args(["-c", script])
    }

    #[test]
    fn the_log_has_the_argument_vector_and_both_outputs() {
        let output = Output::buffered();
        shell("echo one; echo two >&2", &output).run().unwrap();
        assert_eq!(
            output.collected(),
            "$ sh -c 'echo one; echo two >&2'\none\ntwo\n"
        );
    }

    #[test]
    fn a_failure_names_the_program_the_status_and_the_last_lines() {
        let output = Output::buffered();
        let error = shell("seq 30; exit 3", &output).run().unwrap_err();
        assert_eq!(
            describe(&error).0.unwrap(),
            "CalledProcessError: Command '['sh', '-c', 'seq 30; exit 3']' returned non-zero exit status 3."
        );
        let tail = error
            .downcast_ref::<CommandFailed>()
            .unwrap()
            .tail()
            .to_owned();
        assert_eq!(
            tail,
            (11..=30)
                .map(|n| n.to_string())
                .collect::<Vec<_>>()
                .join("\n")
        );
    }

    #[test]
    fn a_signal_is_told_from_a_status() {
        let error = shell("kill -9 $$", &Output::buffered()).run().unwrap_err();
        assert_eq!(
            error.to_string(),
            "Command '['sh', '-c', 'kill -9 $$']' died with signal 9."
        );
    }

    #[test]
    fn a_missing_program_says_which_package_brings_it() {
        let error = Command::new("mkfs.xfs", Output::buffered())
            .env("PATH", "/nonexistent")
            .run()
            .unwrap_err();
        assert_eq!(
            describe(&error).0.unwrap(),
            "FileNotFoundError: [Errno 2] No such file or directory: 'mkfs.xfs': \
             package `xfsprogs` of the build root brings it"
        );
    }

    #[test]
    fn input_larger_than_a_pipe_is_fed_and_read_back() {
        let output = Output::buffered();
        let big = vec![b'x'; 1 << 20];
        let read = shell("cat; echo done >&2", &output)
            .input(big.clone())
            .read()
            .unwrap();
        assert!(read == big, "a megabyte comes back as it went");
        assert!(output.collected().ends_with("\ndone\n"));
    }

    #[test]
    fn without_input_there_is_nothing_to_read() {
        assert_eq!(shell("cat", &Output::buffered()).read().unwrap(), b"");
    }
}
