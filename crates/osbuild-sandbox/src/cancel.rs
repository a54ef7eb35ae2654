//! Tells everyone who waits that the build is over.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use rustix::event::EventfdFlags;

/// A request to stop, shared by all threads of a build. Clones are the same token.
#[derive(Clone, Debug)]
pub struct CancelToken {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    is_cancelled: AtomicBool,
    wakeup: OwnedFd,
}

impl CancelToken {
    /// Makes a token that nobody has cancelled.
    pub fn new() -> Result<Self> {
        let wakeup = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .context("creating an event descriptor")?;
        Ok(Self {
            shared: Arc::new(Shared {
                is_cancelled: AtomicBool::new(false),
                wakeup,
            }),
        })
    }

    /// Asks everyone to stop, for good. Safe in a signal handler: one store and one `write`.
    pub fn cancel(&self) {
        self.shared.is_cancelled.store(true, Ordering::SeqCst);
        // The counter is never read, so the descriptor stays readable; it could only be full after 2^64 calls.
        if let Err(error) = rustix::io::write(&self.shared.wakeup, &1_u64.to_ne_bytes()) {
            debug_assert_eq!(error, rustix::io::Errno::AGAIN);
        }
    }

    /// Tells whether someone asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.shared.is_cancelled.load(Ordering::SeqCst)
    }

    /// Gives the flag itself, for code that knows nothing of this type.
    pub fn flag(&self) -> &AtomicBool {
        &self.shared.is_cancelled
    }

    /// Gives a descriptor that becomes, and stays, readable on cancellation.
    pub fn wakeup(&self) -> BorrowedFd<'_> {
        self.shared.wakeup.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn is_readable(token: &CancelToken) -> bool {
        let mut descriptors = [PollFd::from_borrowed_fd(token.wakeup(), PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut descriptors, Some(&now)).unwrap() == 1
    }

    #[test]
    fn a_clone_sees_the_cancellation_and_it_stays() {
        let token = CancelToken::new().unwrap();
        let other = token.clone();
        assert!(!other.is_cancelled() && !is_readable(&other));
        token.cancel();
        token.cancel();
        for _ in 0..2 {
            assert!(other.is_cancelled() && is_readable(&other));
            assert!(other.flag().load(Ordering::SeqCst));
        }
    }
}
