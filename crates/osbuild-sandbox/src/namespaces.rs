//! Runs a sandbox in namespaces made by this program itself.
//!
//! The child that `clone` makes is process 1 of the new namespaces. It becomes this program again, under
//! another name ([`crate::init`]), which puts the file system together as an ordinary program with one
//! thread, whatever threads this process has.

use std::ffi::CString;
use std::io::{Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::executor::{Finished, Limits, Reason};
use crate::init;
use crate::spec::{Network, SandboxSpec};
use crate::supervise::{Channels, Child, Killed, read_to_end};
use crate::syscalls::{ParentDeath, Spawn, spawn_in_namespaces};
use crate::wire;

/// This program, even if its file has been replaced or deleted since.
const SELF: &std::ffi::CStr = c"/proc/self/exe";

/// Runs `spec` to its end.
pub(crate) fn run(
    spec: &SandboxSpec,
    limits: &Limits<'_>,
    on_output: &mut dyn FnMut(&[u8]),
) -> Result<Finished> {
    if !init::is_available() {
        bail!("this program can not be process 1 of a sandbox: its `main` does not allow it");
    }
    let started = Instant::now();
    let channels = Channels::open()?;
    let mut child = spawn(spec, &channels).context("starting a sandbox")?;
    let Channels { output, status, .. } = channels;
    drop((output.1, status.1));
    let (_, killed) = child.supervise(&output.0, started, limits, on_output)?;
    let duration = started.elapsed();
    let report = init::Report::parse(&read_to_end(status.0)?)?;
    let reason = match (killed, report) {
        (Some(Killed::TimedOut), _) => Reason::TimedOut,
        (Some(Killed::Cancelled), _) => Reason::Cancelled,
        (None, init::Report::Failed(text)) => bail!(text),
        (None, init::Report::Ended(reason)) => reason,
    };
    Ok(Finished { reason, duration })
}

fn spawn(spec: &SandboxSpec, channels: &Channels) -> Result<Child> {
    let description = memfd_create("sandbox", MemfdFlags::CLOEXEC)?;
    let mut description = std::fs::File::from(description);
    description.write_all(&wire::encode(spec)?)?;
    description.rewind()?;
    let mut namespaces = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC;
    if spec.network == Network::Isolated {
        namespaces |= libc::CLONE_NEWNET;
    }
    let name = CString::new(init::NAME).context("naming a sandbox")?;
    let output = channels.output.1.as_fd();
    let (_, pidfd) = spawn_in_namespaces(&Spawn {
        namespaces,
        parent_death: ParentDeath::Kill,
        executable: SELF,
        arguments: &[name],
        environment: &[],
        descriptors: &[
            channels.null.as_fd(),
            output,
            output,
            description.as_fd(),
            channels.status.1.as_fd(),
        ],
    })?;
    Ok(Child::new(pidfd))
}
