//! Which hosts brought files lately, so that one file's failures spare the others the same wait.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// For each host, how many tries failed since it last brought a file.
#[derive(Debug, Default)]
pub(crate) struct Standing(Mutex<HashMap<String, usize>>);

impl Standing {
    pub(crate) fn note_failure(&self, host: String) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *failures.entry(host).or_default() += 1;
    }

    pub(crate) fn note_success(&self, host: &str) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(host);
    }

    pub(crate) fn failures(&self, host: &str) -> usize {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(host).copied().unwrap_or_default()
    }
}
