//! Turns signals that ask the program to end into the cancellation of the build.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
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
    /// The first signal that came, 0 if none did.
    first: Arc<AtomicI32>,
}

impl Interrupts {
    /// Starts to listen.
    pub(crate) fn listen(cancel: CancelToken) -> Result<Self> {
        let mut signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP]).context("installing signal handlers")?;
        let handle = signals.handle();
        let first = Arc::new(AtomicI32::new(0));
        let seen = Arc::clone(&first);
        let listener = thread::spawn(move || {
            for signal in signals.forever() {
                // This thread alone writes; whoever asks twice still asked the first way.
                if seen.load(Ordering::SeqCst) == 0 {
                    seen.store(signal, Ordering::SeqCst);
                }
                cancel.cancel();
            }
        });
        Ok(Self {
            handle,
            listener: Some(listener),
            first,
        })
    }

    /// Gives the first signal that came.
    pub(crate) fn signal(&self) -> Option<i32> {
        Some(self.first.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
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
