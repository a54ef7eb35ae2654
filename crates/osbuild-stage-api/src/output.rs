//! Where a stage talks to: its log, which is its standard output, or a buffer under test.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// The log of a stage; clones write to the same place.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Standard output when absent.
    buffer: Option<Arc<Mutex<Vec<u8>>>>,
}

impl Output {
    /// Writes to standard output, unbuffered, so that nothing is lost or reordered with a child's output.
    pub fn standard() -> Self {
        Self::default()
    }

    /// Collects what is written.
    pub fn buffered() -> Self {
        Self {
            buffer: Some(Arc::default()),
        }
    }

    /// Returns what was collected; empty for standard output.
    pub fn collected(&self) -> String {
        let Some(buffer) = &self.buffer else {
            return String::new();
        };
        let bytes = buffer.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Writes a line.
    pub fn line(&self, text: impl std::fmt::Display) {
        self.write(format!("{text}\n").as_bytes());
    }

    /// Writes bytes as they are.
    pub fn write(&self, bytes: &[u8]) {
        if let Some(buffer) = &self.buffer {
            buffer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(bytes);
            return;
        }
        let mut stdout = io::stdout().lock();
        // The reader of the pipe is the engine: once it is gone the stage is about to be killed anyway, and a
        // log that can not be written is no reason to leave a tree half done.
        drop(stdout.write_all(bytes).and_then(|()| stdout.flush()));
    }
}
