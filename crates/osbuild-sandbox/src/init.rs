//! Process 1 of a sandbox: this program, started again under another name.
//!
//! It puts the file system together, gives up what the program must not have, starts it, and stays to
//! collect processes that lose their parents. When it ends, the kernel ends all others in the sandbox.

use std::ffi::CString;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use rustix::thread::{CapabilitySets, configure_capability_in_ambient_set};

use crate::capability::CapabilitySet;
use crate::executor::Reason;
use crate::spec::{Network, SandboxSpec};
use crate::supervise::retry;
use crate::{syscalls, wire};

mod file_system;

/// The name, `argv[0]`, under which this program is a sandbox's process 1.
pub(crate) const NAME: &str = "osbuild-sandbox-init";

/// The descriptors that [`crate::namespaces`] passes beside the standard ones.
const DESCRIPTION: i32 = 3;
const STATUS: i32 = 4;

static IS_AVAILABLE: AtomicBool = AtomicBool::new(false);

/// Becomes process 1 of a sandbox if this process was started as one, and then never comes back.
///
/// Call it before anything else in `main`; [`crate::Executor::Namespaces`] works only in programs that do.
pub fn main_if_requested() {
    if std::env::args_os().next().is_some_and(|name| name == NAME) {
        syscalls::exit_now(run());
    }
    IS_AVAILABLE.store(true, Ordering::Relaxed);
}

/// Tells whether this program can be process 1 of a sandbox.
pub(crate) fn is_available() -> bool {
    IS_AVAILABLE.load(Ordering::Relaxed)
}

/// What process 1 tells about the run, on a pipe.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The program did not even start.
    Failed(String),
    /// The program ended.
    Ended(Reason),
}

impl Report {
    fn of_status(status: WaitStatus) -> Self {
        Self::Ended(match status.terminating_signal() {
            Some(signal) => Reason::Signalled { signal },
            None => Reason::Exited {
                status: status.exit_status().unwrap_or(-1),
            },
        })
    }

    fn write(&self) -> String {
        match self {
            Self::Failed(text) => format!("failed {text}\n"),
            Self::Ended(Reason::Exited { status }) => format!("exited {status}\n"),
            Self::Ended(Reason::Signalled { signal }) => format!("signalled {signal}\n"),
            Self::Ended(Reason::TimedOut | Reason::Cancelled) => String::new(),
        }
    }

    /// Reads what was written; the first report counts: a program that could not be started also "ended".
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let text = String::from_utf8_lossy(bytes);
        if let Some(reason) = text.strip_prefix("failed ") {
            return Ok(Self::Failed(reason.trim_end().to_owned()));
        }
        let number = |text: &str| {
            text.trim_end()
                .parse()
                .context("reading how a sandbox ended")
        };
        if let Some(status) = text.strip_prefix("exited ") {
            return Ok(Self::Ended(Reason::Exited {
                status: number(status)?,
            }));
        }
        if let Some(signal) = text.strip_prefix("signalled ") {
            return Ok(Self::Ended(Reason::Signalled {
                signal: number(signal)?,
            }));
        }
        // Process 1 itself was killed before it could tell: by a user, or for want of memory.
        Ok(Self::Ended(Reason::Signalled {
            signal: Signal::KILL.as_raw(),
        }))
    }
}

/// Does all that process 1 does; gives its exit status, which nobody looks at.
fn run() -> i32 {
    let Ok(status) = syscalls::take_inherited(STATUS) else {
        return 2;
    };
    let report = match run_program(&status) {
        Ok(ended) => Report::of_status(ended),
        Err(error) => Report::Failed(format!("{error:#}")),
    };
    match tell(&status, &report) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

fn tell(status: &OwnedFd, report: &Report) -> Result<()> {
    let text = report.write();
    let mut left = text.as_bytes();
    while !left.is_empty() {
        let written = retry(|| rustix::io::write(status, left))?;
        left = &left[written..];
    }
    Ok(())
}

fn run_program(status: &OwnedFd) -> Result<WaitStatus> {
    check_parent_lives()?;
    syscalls::reset_broken_pipe_signal().context("resetting signals")?;
    rustix::process::setsid().context("starting a session")?;
    let spec = read_description()?;
    file_system::build(&spec.entries)?;
    if spec.network == Network::Isolated {
        bring_loopback_up().context("bringing up the loopback interface")?;
    }
    let program = Program::new(&spec)?;
    rustix::thread::set_no_new_privs(true).context("giving up new privileges")?;
    match syscalls::fork_single_threaded().context("forking")? {
        None => {
            let failure = program.become_it(spec.capabilities);
            // If the pipe is gone so is everyone who could be told.
            drop(tell(status, &Report::Failed(format!("{failure:#}"))));
            syscalls::exit_now(127)
        }
        Some(child) => {
            give_up_capabilities(CapabilitySet::empty())?;
            reap_until(child)
        }
    }
}

/// Makes sure that the parent did not die before the kernel was asked to kill this process with it.
fn check_parent_lives() -> Result<()> {
    // If it is gone nobody reads the output any more.
    let stdout = std::io::stdout();
    let mut output = [PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::OUT)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    retry(|| poll(&mut output, Some(&now))).context("looking for the parent")?;
    if output[0].revents().contains(PollFlags::ERR) {
        bail!("the parent is gone");
    }
    Ok(())
}

fn read_description() -> Result<SandboxSpec> {
    let description = syscalls::take_inherited(DESCRIPTION).context("finding the description")?;
    let mut bytes = Vec::new();
    std::fs::File::from(description)
        .read_to_end(&mut bytes)
        .context("reading the description")?;
    wire::decode(&bytes)
}

fn bring_loopback_up() -> Result<()> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    Ok(syscalls::bring_up(socket.as_fd(), c"lo")?)
}

/// The program to run, with all its strings as the kernel wants them.
struct Program {
    executable: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Program {
    fn new(spec: &SandboxSpec) -> Result<Self> {
        let arguments = spec
            .command
            .iter()
            .map(|word| CString::new(word.as_bytes()).context("an argument holds a zero byte"))
            .collect::<Result<Vec<_>>>()?;
        let environment = spec
            .environment
            .iter()
            .map(|(name, value)| {
                let mut variable = name.clone();
                variable.push("=");
                variable.push(value);
                CString::new(variable.into_vec()).context("a variable holds a zero byte")
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            executable: arguments.first().context("there is no command")?.clone(),
            arguments,
            environment,
        })
    }

    /// Becomes the program; comes back only to say why not.
    fn become_it(&self, capabilities: CapabilitySet) -> anyhow::Error {
        if let Err(error) = give_up_capabilities(capabilities) {
            return error;
        }
        let error = syscalls::execute(&self.executable, &self.arguments, &self.environment);
        anyhow::Error::from(error)
            .context(format!("executing {}", self.executable.to_string_lossy()))
    }
}

/// Keeps `kept` and gives up all other capabilities, as bubblewrap does it: with no new privileges to be had,
/// executing a program as root can not bring back what is not permitted any more.
fn give_up_capabilities(kept: CapabilitySet) -> Result<()> {
    let set = rustix::thread::CapabilitySet::from_bits_retain(kept.bits());
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: set,
            permitted: set,
            inheritable: set,
        },
    )
    .with_context(|| format!("keeping no capabilities but {kept:?}"))?;
    for capability in kept.iter() {
        let one = rustix::thread::CapabilitySet::from_bits_retain(1 << capability.number());
        configure_capability_in_ambient_set(one, true)
            .with_context(|| format!("handing on {capability}"))?;
    }
    Ok(())
}

/// Collects every process that ends until `program` is among them.
fn reap_until(program: Pid) -> Result<WaitStatus> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == program => return Ok(status),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for the program"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_come_out_as_they_went_in() {
        for report in [
            Report::Failed("mounting at /x: no".to_owned()),
            Report::Ended(Reason::Exited { status: 3 }),
            Report::Ended(Reason::Signalled { signal: 15 }),
        ] {
            assert_eq!(Report::parse(report.write().as_bytes()).unwrap(), report);
        }
    }

    #[test]
    fn the_first_report_counts() {
        let both = b"failed executing /x: no\nexited 127\n";
        let Report::Failed(text) = Report::parse(both).unwrap() else {
            panic!("not a failure");
        };
        assert!(text.starts_with("executing /x: no"), "{text}");
    }

    #[test]
    fn silence_means_that_it_was_killed() {
        assert_eq!(
            Report::parse(b"").unwrap(),
            Report::Ended(Reason::Signalled { signal: 9 })
        );
    }
}
