//! A foreign module on the host: a program that answers calls over a socket for as long as it is needed.
//!
//! It is told that its work is over by the end of the connection; then it undoes what it did and ends.

use std::ffi::OsString;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use osbuild_manifest::value::Value;
use osbuild_sandbox::executor::Reason;
use osbuild_sandbox::{CancelToken, HostProcess, HostProgram, PacketSocket};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::external::line_reader::{LineReader, LineSink};
use crate::external::protocol::{self, Answer};

/// The number that a module's end of the connection has.
const SOCKET_NUMBER: &str = "3";

/// How long a module may take to undo its work; disks that have to be written out are slow.
const STOP_PATIENCE: Duration = Duration::from_mins(5);

/// The same once the build was interrupted: nobody wants the result any more.
const CANCELLED_PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait for the end of a module that has closed its connection, to tell how it ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How often to look whether the build was interrupted.
const GLANCE: Duration = Duration::from_millis(100);

/// A module to start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServiceCommand<'a> {
    /// What it is needed for, `input/tree`.
    pub(crate) uid: &'a str,
    /// Its file.
    pub(crate) file: &'a Path,
    /// The directory that has the Python package.
    pub(crate) python_path: Option<&'a Path>,
}

/// How long to wait for a module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait<'a> {
    /// Longest time that the calls for one stage may take, and the stop of each module.
    pub(crate) limit: Option<Duration>,
    /// When the first of them began.
    pub(crate) start: Instant,
    /// Ends the waiting.
    pub(crate) cancel: &'a CancelToken,
}

/// A running module. Dropping it stops it.
pub(crate) struct Service<'a> {
    name: String,
    socket: Option<PacketSocket>,
    process: Option<HostProcess>,
    lines: LineReader,
    wait: Wait<'a>,
}

impl<'a> Service<'a> {
    /// Starts a module. What it prints goes to `sink`.
    pub(crate) fn start(
        command: &ServiceCommand<'_>,
        wait: Wait<'a>,
        sink: LineSink,
    ) -> Result<Self> {
        let (socket, theirs) = PacketSocket::pair()?;
        let arguments = ["--service-id", command.uid, "--service-fd", SOCKET_NUMBER];
        let (process, output) = HostProcess::start(&HostProgram {
            path: command.file,
            arguments: &arguments.map(OsString::from),
            environment: &environment(command.python_path),
            descriptors: &[theirs.as_fd()],
        })?;
        Ok(Self {
            name: command.uid.to_owned(),
            socket: Some(socket),
            process: Some(process),
            lines: LineReader::start(output, sink)?,
            wait,
        })
    }

    /// Calls a method and waits for the reply.
    ///
    /// # Errors
    /// The module says so, ends, sends something else, or takes too long; or the build was interrupted.
    pub(crate) fn call(&mut self, method: &str, arguments: Value) -> Result<Value> {
        let socket = self.socket.as_ref().context("it was stopped already")?;
        let call = protocol::method(method, arguments);
        // A module that is gone is found out below.
        if let Err(error) = socket.send(call.as_bytes(), &[]) {
            tracing::debug!("calling {}: {error:#}", self.name);
        }
        let answer = self.wait_for_answer();
        // What it printed comes before what its answer leads to.
        self.lines.flush();
        match answer? {
            Answer::Reply(reply) => Ok(reply),
            Answer::Exception { message, backtrace } => {
                for line in backtrace.lines() {
                    self.lines.add(line);
                }
                bail!(message)
            }
            Answer::Signal => bail!("a signal is no answer"),
        }
    }

    /// Gives the last lines that the module printed.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        self.lines.last_lines()
    }

    fn wait_for_answer(&mut self) -> Result<Answer> {
        loop {
            match self.next_event()? {
                Event::Answer(Answer::Signal) => {}
                Event::Answer(answer) => return Ok(answer),
                Event::End => return Err(self.how_it_ended()),
            }
        }
    }

    fn next_event(&self) -> Result<Event> {
        let (Some(socket), Some(process)) = (&self.socket, &self.process) else {
            bail!("it was stopped already");
        };
        loop {
            if self.wait.cancel.is_cancelled() {
                bail!("the build was interrupted");
            }
            let timeout = self.time_left()?;
            let mut descriptors = [
                PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(process.exit_descriptor(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.wait.cancel.wakeup(), PollFlags::IN),
            ];
            match poll(&mut descriptors, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("waiting for its answer"),
            }
            // It may have answered and ended at once.
            if !descriptors[0].revents().is_empty() {
                return match socket.receive()? {
                    Some(packet) => protocol::answer(&packet.text).map(Event::Answer),
                    None => Ok(Event::End),
                };
            }
            if !descriptors[1].revents().is_empty() {
                return Ok(Event::End);
            }
        }
    }

    fn time_left(&self) -> Result<Option<Timespec>> {
        let Some(limit) = self.wait.limit else {
            return Ok(None);
        };
        let left = limit.saturating_sub(self.wait.start.elapsed());
        if left.is_zero() {
            bail!(
                "it did not answer within the {} s that --stage-timeout allows",
                limit.as_secs()
            );
        }
        Ok(Some(Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: left.subsec_nanos().into(),
        }))
    }

    fn how_it_ended(&mut self) -> anyhow::Error {
        let ended = self
            .process
            .as_mut()
            .map(|process| process.wait(LAST_WORDS));
        match ended {
            Some(Ok(Some(Reason::Exited { status }))) => {
                anyhow::anyhow!("it ended with status {status} before it answered")
            }
            Some(Ok(Some(Reason::Signalled { signal }))) => {
                anyhow::anyhow!("it was killed by signal {signal} before it answered")
            }
            _ => anyhow::anyhow!("it closed its connection before it answered"),
        }
    }

    /// Ends the connection and waits for the module to undo its work; kills it when that takes too long.
    ///
    /// # Errors
    /// It had to be killed.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        drop(self.socket.take());
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        let ended = self.wait_for_end(&mut process);
        // If it is still there, this kills it.
        drop(process);
        self.lines.finish();
        match ended? {
            Some(Reason::Exited { status: 0 }) => Ok(()),
            // Upstream does not look at it; whether the work was done shows in the tree.
            Some(Reason::Exited { status }) => {
                self.lines.add(&format!("ended with status {status}"));
                Ok(())
            }
            Some(reason) => bail!("it ended with {reason:?} while it undid its work"),
            None => bail!("it did not undo its work in time, and was killed"),
        }
    }

    fn wait_for_end(&self, process: &mut HostProcess) -> Result<Option<Reason>> {
        let started = Instant::now();
        loop {
            let mut patience = self.wait.limit.unwrap_or(STOP_PATIENCE);
            if self.wait.cancel.is_cancelled() {
                patience = patience.min(CANCELLED_PATIENCE);
            }
            let left = patience.saturating_sub(started.elapsed());
            let ended = process.wait(left.min(GLANCE))?;
            if ended.is_some() || left.is_zero() {
                return Ok(ended);
            }
        }
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!("stopping {}: {error:#}", self.name);
        }
    }
}

enum Event {
    Answer(Answer),
    End,
}

/// Gives the caller's environment, with what modules in Python need.
fn environment(python_path: Option<&Path>) -> Vec<(OsString, OsString)> {
    let mut environment: Vec<(OsString, OsString)> = std::env::vars_os()
        .filter(|(name, _)| name != "PYTHONUNBUFFERED")
        .filter(|(name, _)| name != "PYTHONPATH" || python_path.is_none())
        .collect();
    environment.push(("PYTHONUNBUFFERED".into(), "1".into()));
    if let Some(path) = python_path {
        environment.push(("PYTHONPATH".into(), path.into()));
    }
    environment
}

#[cfg(test)]
mod tests;
