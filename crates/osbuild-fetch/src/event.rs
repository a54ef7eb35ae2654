//! What happens while fetching.

use std::time::Duration;

/// Something a caller may want to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchEvent {
    /// How far all files are; sent a few times a second, and whenever a file ends.
    Progress {
        /// Bytes that arrived, without those thrown away again.
        bytes_done: u64,
        /// Bytes there will be, once the size of every file is known.
        bytes_total: Option<u64>,
        /// Files that are there or given up.
        files_done: usize,
        /// Files asked for.
        files_total: usize,
    },
    /// A try failed and another follows.
    Retrying {
        /// The place of the request in the list given.
        index: usize,
        /// The URL that failed.
        url: String,
        /// Why.
        reason: String,
        /// The wait before the next try.
        delay: Duration,
    },
    /// A file is in the cache.
    Finished {
        /// The place of the request in the list given.
        index: usize,
        /// The URL it came from; none if it was there already.
        url: Option<String>,
    },
}
