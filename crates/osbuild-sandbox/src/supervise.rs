//! Stays with a sandbox until it is gone: passes its output on, and ends it when its time is over.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_send_signal, waitid};

use crate::executor::Limits;

/// The largest piece of output that is handed on at once.
const PIECE: usize = 32 * 1024;
/// How long to wait, once the sandbox is gone, for the end of its output: someone outside may hold the pipe.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A process that is killed and waited for when this is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    pidfd: OwnedFd,
    is_reaped: bool,
}

/// Why a sandbox was ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Killed {
    TimedOut,
    Cancelled,
}

impl Child {
    /// Takes charge of a child of this process.
    pub(crate) fn new(pidfd: OwnedFd) -> Self {
        Self {
            pidfd,
            is_reaped: false,
        }
    }

    /// Passes output on until the process is gone, and kills it when a limit is met.
    pub(crate) fn supervise(
        &mut self,
        output: &OwnedFd,
        started: Instant,
        limits: &Limits<'_>,
        on_output: &mut dyn FnMut(&[u8]),
    ) -> Result<(WaitIdStatus, Option<Killed>)> {
        let mut pump = Pump {
            output,
            is_open: true,
            buffer: vec![0; PIECE],
            on_output,
        };
        let deadline = limits.timeout.map(|timeout| started + timeout);
        let mut killed = None;
        loop {
            if killed.is_none() {
                killed = reason_to_kill(limits, deadline);
                if killed.is_some() {
                    self.kill()?;
                }
            }
            let cancel = killed.is_none().then(|| limits.cancel.wakeup());
            let wait = deadline.filter(|_| killed.is_none());
            let ready = wait_for(pump.descriptor(), self.pidfd.as_fd(), cancel, wait)?;
            if ready.output {
                pump.read()?;
            }
            if ready.exit {
                break;
            }
        }
        let status = self.reap()?;
        pump.finish()?;
        Ok((status, killed))
    }

    fn kill(&self) -> Result<()> {
        match pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error).context("killing a sandbox"),
        }
    }

    /// Gives a descriptor that becomes readable when the process is gone.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Waits for the process to be gone.
    pub(crate) fn reap(&mut self) -> Result<WaitIdStatus> {
        let status = retry(|| waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED))
            .context("waiting for a sandbox")?;
        self.is_reaped = true;
        status.context("waiting for a sandbox gave no status")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.is_reaped {
            return;
        }
        if let Err(error) = self.kill().and_then(|()| self.reap()) {
            tracing::warn!("ending a sandbox failed: {error:#}");
        }
    }
}

fn reason_to_kill(limits: &Limits<'_>, deadline: Option<Instant>) -> Option<Killed> {
    if limits.cancel.is_cancelled() {
        Some(Killed::Cancelled)
    } else if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
        Some(Killed::TimedOut)
    } else {
        None
    }
}

struct Ready {
    output: bool,
    exit: bool,
}

fn wait_for(
    output: Option<BorrowedFd<'_>>,
    process: BorrowedFd<'_>,
    cancel: Option<BorrowedFd<'_>>,
    deadline: Option<Instant>,
) -> Result<Ready> {
    let mut descriptors = vec![PollFd::from_borrowed_fd(process, PollFlags::IN)];
    let others = [output, cancel];
    descriptors.extend(
        others
            .into_iter()
            .flatten()
            .map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN)),
    );
    let timeout = deadline.map(|deadline| {
        let left = deadline.saturating_duration_since(Instant::now());
        Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: left.subsec_nanos().into(),
        }
    });
    match poll(&mut descriptors, timeout.as_ref()) {
        Ok(_) => {}
        Err(Errno::INTR) => {
            return Ok(Ready {
                output: false,
                exit: false,
            });
        }
        Err(error) => return Err(error).context("waiting for a sandbox"),
    }
    Ok(Ready {
        output: output.is_some() && !descriptors[1].revents().is_empty(),
        exit: !descriptors[0].revents().is_empty(),
    })
}

/// Moves output from the pipe to whoever wants it.
struct Pump<'a> {
    output: &'a OwnedFd,
    is_open: bool,
    buffer: Vec<u8>,
    on_output: &'a mut dyn FnMut(&[u8]),
}

impl Pump<'_> {
    /// Gives what to wait on, as long as there may be more.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.is_open.then(|| self.output.as_fd())
    }

    /// Reads once.
    fn read(&mut self) -> Result<()> {
        match retry(|| rustix::io::read(self.output, &mut self.buffer[..])) {
            Ok(0) => self.is_open = false,
            Ok(length) => (self.on_output)(&self.buffer[..length]),
            Err(error) => return Err(error).context("reading the output of a sandbox"),
        }
        Ok(())
    }

    /// Reads what is still in the pipe of a process that is gone.
    fn finish(&mut self) -> Result<()> {
        let deadline = Instant::now() + LAST_WORDS;
        while self.is_open && Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut descriptors = [PollFd::from_borrowed_fd(self.output.as_fd(), PollFlags::IN)];
            let count = retry(|| poll(&mut descriptors, Some(&timeout)))
                .context("reading the last output of a sandbox")?;
            if count > 0 {
                self.read()?;
            }
        }
        Ok(())
    }
}

/// Calls again what a signal interrupted.
pub(crate) fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// The descriptors that a sandbox is started with, and our ends of them.
pub(crate) struct Channels {
    pub(crate) null: OwnedFd,
    pub(crate) output: (OwnedFd, OwnedFd),
    pub(crate) status: (OwnedFd, OwnedFd),
}

impl Channels {
    /// Opens `/dev/null`, a pipe for output and one for how it went.
    pub(crate) fn open() -> Result<Self> {
        let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
        Ok(Self {
            null: fs_err::File::open("/dev/null")?.into_parts().0.into(),
            output: pipe().context("making a pipe")?,
            status: pipe().context("making a pipe")?,
        })
    }
}

/// Reads a pipe whose other ends are all closed.
pub(crate) fn read_to_end(pipe: OwnedFd) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    io::Read::read_to_end(&mut std::fs::File::from(pipe), &mut content)
        .context("reading how a sandbox ended")?;
    Ok(content)
}
