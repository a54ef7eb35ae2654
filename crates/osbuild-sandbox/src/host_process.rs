//! A program on the host, beside this one, with all that it starts.
//!
//! It is process 1 of a PID namespace of its own: when it is gone, whatever it left running is gone, too. Everything
//! else is the host's. It outlives this program if that dies, so that it can see the end of its connection and clean up.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::WaitIdStatus;

use crate::executor::Reason;
use crate::supervise::{Child, retry};
use crate::syscalls::{ParentDeath, Spawn, spawn_in_namespaces};

/// A program to start.
#[derive(Clone, Copy, Debug)]
pub struct HostProgram<'a> {
    /// Its file, which also becomes its name.
    pub path: &'a Path,
    /// Its arguments after the name.
    pub arguments: &'a [OsString],
    /// Its whole environment.
    pub environment: &'a [(OsString, OsString)],
    /// What becomes its descriptors from 3 on; there are no others but the standard ones.
    pub descriptors: &'a [BorrowedFd<'a>],
}

/// A running program. Killed with all it started, and waited for, when this is dropped.
#[derive(Debug)]
pub struct HostProcess {
    child: Child,
    ended: Option<Reason>,
}

impl HostProcess {
    /// Starts a program with nothing to read; gives the pipe that both of its output streams go to.
    pub fn start(program: &HostProgram<'_>) -> Result<(Self, OwnedFd)> {
        let executable = c_string(program.path.as_os_str())?;
        let arguments = std::iter::once(program.path.as_os_str())
            .chain(program.arguments.iter().map(OsString::as_os_str))
            .map(c_string)
            .collect::<Result<Vec<_>>>()?;
        let environment = program
            .environment
            .iter()
            .map(|(name, value)| {
                let variable = [name.as_os_str(), OsStr::new("="), value];
                c_string(OsStr::from_bytes(
                    &variable.map(OsStrExt::as_bytes).concat(),
                ))
            })
            .collect::<Result<Vec<_>>>()?;
        let null = fs_err::File::open("/dev/null")?;
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).context("making a pipe")?;
        let standard = [null.file().as_fd(), writer.as_fd(), writer.as_fd()];
        let descriptors: Vec<_> = standard
            .into_iter()
            .chain(program.descriptors.iter().copied())
            .collect();
        let (_, pidfd) = spawn_in_namespaces(&Spawn {
            namespaces: libc::CLONE_NEWPID,
            parent_death: ParentDeath::Survive,
            executable: &executable,
            arguments: &arguments,
            environment: &environment,
            descriptors: &descriptors,
        })
        .with_context(|| format!("starting {}", program.path.display()))?;
        let child = Child::new(pidfd);
        let ended = None;
        Ok((Self { child, ended }, reader))
    }

    /// Gives a descriptor that becomes readable when the program is gone.
    pub fn exit_descriptor(&self) -> BorrowedFd<'_> {
        self.child.pidfd()
    }

    /// Waits for the end of the program; none if it does not come in time.
    pub fn wait(&mut self, patience: Duration) -> Result<Option<Reason>> {
        if self.ended.is_some() {
            return Ok(self.ended);
        }
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut descriptors = [PollFd::from_borrowed_fd(
                self.exit_descriptor(),
                PollFlags::IN,
            )];
            let count = retry(|| poll(&mut descriptors, Some(&timeout)))
                .context("waiting for a program")?;
            if count > 0 {
                self.ended = Some(reason(&self.child.reap()?));
                return Ok(self.ended);
            }
            if left.is_zero() {
                return Ok(None);
            }
        }
    }
}

fn reason(status: &WaitIdStatus) -> Reason {
    match status.terminating_signal() {
        Some(signal) => Reason::Signalled { signal },
        None => Reason::Exited {
            status: status.exit_status().unwrap_or_default(),
        },
    }
}

fn c_string(text: &OsStr) -> Result<CString> {
    CString::new(text.as_bytes()).with_context(|| format!("{} holds a zero byte", text.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;

    use super::*;

    fn start(script: &str) -> (HostProcess, OwnedFd) {
        HostProcess::start(&HostProgram {
            path: Path::new("/bin/sh"),
            arguments: &["-c".into(), script.into()],
            environment: &[
                ("PATH".into(), "/usr/bin:/bin".into()),
                ("A".into(), "b".into()),
            ],
            descriptors: &[],
        })
        .unwrap()
    }

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn a_program_has_what_it_was_given_and_nothing_else() {
        osbuild_testing::needs![root, tool("sh")];
        let (mut process, output) = start("echo $A; ls /proc/self/fd | wc -l; cat; exit 7");
        let mut text = String::new();
        File::from(output).read_to_string(&mut text).unwrap();
        // Three, and the one that `ls` reads the directory by.
        assert_eq!(text, "b\n4\n");
        for _ in 0..2 {
            assert_eq!(
                process.wait(SOON).unwrap(),
                Some(Reason::Exited { status: 7 })
            );
        }
    }

    #[test]
    fn what_a_program_leaves_running_ends_with_it() {
        osbuild_testing::needs![root, tool("sh"), tool("setsid")];
        // The pipe would stay open as long as the daemon lives.
        let (mut process, output) = start("setsid sleep 1000 & echo started");
        let mut text = String::new();
        File::from(output).read_to_string(&mut text).unwrap();
        assert_eq!(text, "started\n");
        assert_eq!(
            process.wait(SOON).unwrap(),
            Some(Reason::Exited { status: 0 })
        );
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_when_dropped() {
        osbuild_testing::needs![root, tool("sh")];
        let (mut process, output) = start("trap '' TERM; sleep 1000 & sleep 1000");
        assert_eq!(process.wait(Duration::from_millis(50)).unwrap(), None);
        drop(process);
        let mut text = String::new();
        File::from(output).read_to_string(&mut text).unwrap();
        assert_eq!(text, "");
    }

    #[test]
    fn a_program_that_can_not_be_started_is_named() {
        osbuild_testing::needs![root];
        let error = HostProcess::start(&HostProgram {
            path: Path::new("/etc/passwd"),
            arguments: &[],
            environment: &[],
            descriptors: &[],
        })
        .unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "starting /etc/passwd: Permission denied (os error 13)"
        );
    }
}
