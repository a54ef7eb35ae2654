//! Turns signals that ask the program to end into the cancellation of the build.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, Result};
use osbuild_sandbox::CancelToken;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

/// Listens for SIGINT, SIGTERM and SIGHUP until dropped. The first one cancels the token: stages are
/// ended, mounts undone, and the program leaves through its normal path.
pub(crate) struct Interrupts {
    handle: Handle,
    listener: Option<thread::JoinHandle<()>>,
    was_interrupted: Arc<AtomicBool>,
}

impl Interrupts {
    /// Starts to listen.
    pub(crate) fn listen(cancel: CancelToken) -> Result<Self> {
        let mut signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP]).context("installing signal handlers")?;
        let handle = signals.handle();
        let was_interrupted = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&was_interrupted);
        let listener = thread::spawn(move || {
            for _ in signals.forever() {
                seen.store(true, Ordering::SeqCst);
                cancel.cancel();
            }
        });
        Ok(Self {
            handle,
            listener: Some(listener),
            was_interrupted,
        })
    }

    /// Tells whether a signal came.
    pub(crate) fn came(&self) -> bool {
        self.was_interrupted.load(Ordering::SeqCst)
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(listener) = self.listener.take()
            && listener.join().is_err()
        {
            tracing::debug!("the signal listener panicked");
        }
    }
}
