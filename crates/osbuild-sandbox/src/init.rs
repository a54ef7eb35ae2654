//! Process 1 of a sandbox: this program, started again under another name.

use std::sync::atomic::{AtomicBool, Ordering};

/// The name, `argv[0]`, under which this program is a sandbox's process 1.
pub(crate) const NAME: &str = "osbuild-sandbox-init";

static IS_AVAILABLE: AtomicBool = AtomicBool::new(false);

/// Becomes process 1 of a sandbox if this process was started as one, and then never comes back.
///
/// Call it before anything else in `main`; [`crate::Executor::Namespaces`] works only in programs that do.
pub fn main_if_requested() {
    IS_AVAILABLE.store(true, Ordering::Relaxed);
}

/// Tells whether this program can be process 1 of a sandbox.
pub(crate) fn is_available() -> bool {
    IS_AVAILABLE.load(Ordering::Relaxed)
}
