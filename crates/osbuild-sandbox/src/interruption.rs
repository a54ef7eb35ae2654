//! Leaving interruptions to whoever started this program.

use anyhow::{Context as _, Result};

use crate::syscalls;

/// Ignores SIGINT and SIGTERM, here and in the programs that are started from here. A terminal sends SIGINT to a whole
/// build: those who keep mounts and devices for it end when they are told to, in the right order.
pub fn leave_to_caller() -> Result<()> {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        syscalls::ignore_signal(signal).context("ignoring interruptions")?;
    }
    Ok(())
}
