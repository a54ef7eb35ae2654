//! Where the bytes of a transfer go.

use std::io;
use std::path::PathBuf;

use crate::FetchError;

/// Takes the bytes of a transfer, which may break off and go on.
pub(crate) trait Sink: Send {
    /// How many bytes are there.
    fn length(&self) -> u64;
    /// Adds bytes at the end.
    fn append(&mut self, bytes: &[u8]) -> Result<(), WriteFailure>;
    /// Forgets all bytes.
    fn reset(&mut self) -> Result<(), WriteFailure>;
    /// Whether that many more bytes have room.
    fn check_room(&self, url: &str, more: u64) -> Result<(), FetchError>;
    /// Whether the bytes that are there are known to be all.
    fn is_complete(&self) -> bool;
}

/// Bytes that could not be kept.
#[derive(Debug)]
pub(crate) struct WriteFailure {
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

/// Keeps the bytes in memory.
#[derive(Default)]
pub(crate) struct Memory(pub(crate) Vec<u8>);

impl Sink for Memory {
    fn length(&self) -> u64 {
        self.0.len() as u64
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), WriteFailure> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn reset(&mut self) -> Result<(), WriteFailure> {
        self.0.clear();
        Ok(())
    }

    fn check_room(&self, _url: &str, _more: u64) -> Result<(), FetchError> {
        Ok(())
    }

    fn is_complete(&self) -> bool {
        false
    }
}
