//! Why a file could not be fetched.

use std::io;
use std::path::PathBuf;

use crate::Checksum;

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL is not one we can go to.
    #[error("cannot fetch `{url}`: {reason}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The request cannot be made: a bad certificate file, header, proxy or file name.
    #[error("cannot ask for `{url}`: {reason}")]
    Setup {
        /// The URL.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The server has an answer, but not the file.
    #[error("`{url}`: the server answers {status}{}", status_phrase(*.status))]
    Status {
        /// The URL, after redirects.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// A chain of redirects has no end.
    #[error("`{url}`: too many redirects, or redirects in a circle")]
    Redirects {
        /// The URL the chain began with.
        url: String,
    },
    /// No connection: name not found, refused, timed out, or no agreement on TLS.
    #[error("cannot connect to fetch `{url}`: {reason}")]
    Connect {
        /// The URL.
        url: String,
        /// Why.
        reason: String,
    },
    /// The connection broke, or ended before the file did.
    #[error("the transfer of `{url}` broke after {received} bytes: {reason}")]
    Broken {
        /// The URL.
        url: String,
        /// How much of the file had arrived.
        received: u64,
        /// Why.
        reason: String,
    },
    /// Too few bytes came for too long.
    #[error(
        "the transfer of `{url}` stalled after {received} bytes: below {bytes_per_second} bytes per second for {seconds} s"
    )]
    Stalled {
        /// The URL.
        url: String,
        /// How much of the file had arrived.
        received: u64,
        /// The least speed.
        bytes_per_second: u64,
        /// For how long it was slower.
        seconds: u64,
    },
    /// The file is not what was asked for.
    #[error("checksum mismatch: `{url}` gives {actual} instead of {expected}")]
    ChecksumMismatch {
        /// The URL.
        url: String,
        /// What the file must hash to.
        expected: Checksum,
        /// What it hashes to.
        actual: Checksum,
    },
    /// The cache's file system has no room.
    #[error("no space left on {file_system} for `{url}`: {}, {available} bytes are free", needed_phrase(*.needed))]
    DiskFull {
        /// The URL.
        url: String,
        /// The file system, in words.
        file_system: String,
        /// Bytes still to be written, if known.
        needed: Option<u64>,
        /// Bytes free.
        available: u64,
    },
    /// The cache cannot be used.
    #[error("cannot write `{}`: {source}", .path.display())]
    Cache {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The caller gave up.
    #[error("fetching `{url}` was cancelled")]
    Cancelled {
        /// The URL.
        url: String,
    },
    /// Every mirror and every try failed; the last failure says how.
    #[error("{last} (gave up after {tries} tries)")]
    GaveUp {
        /// How often it was tried.
        tries: usize,
        /// How the last try failed; part of the text, and so no source of it.
        last: Box<FetchError>,
    },
}

impl FetchError {
    /// The failure itself, without the count of tries.
    pub fn cause(&self) -> &Self {
        match self {
            Self::GaveUp { last, .. } => last.cause(),
            other => other,
        }
    }

    /// Whether the server said that there is no such file.
    pub fn is_not_found(&self) -> bool {
        matches!(
            self.cause(),
            Self::Status {
                status: 404 | 410,
                ..
            }
        )
    }
}

fn status_phrase(status: u16) -> String {
    reqwest::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .map_or_else(String::new, |phrase| format!(" {phrase}"))
}

fn needed_phrase(needed: Option<u64>) -> String {
    needed.map_or_else(
        || "its size is unknown".to_owned(),
        |needed| format!("{needed} more bytes are needed"),
    )
}
