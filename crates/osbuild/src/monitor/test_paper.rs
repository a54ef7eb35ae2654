//! What monitors wrote, for tests to read.

use std::io::Write;
use std::sync::{Arc, Mutex};

/// A paper whose copies are the same.
#[derive(Clone, Default)]
pub(super) struct TestPaper(Arc<Mutex<Vec<u8>>>);

impl TestPaper {
    /// Gives all that was written.
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for TestPaper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
