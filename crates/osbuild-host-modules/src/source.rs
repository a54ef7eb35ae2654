//! What a source is: it brings the bytes that a manifest names into the store's cache.

use std::collections::HashMap;
use std::path::Path;

use osbuild_fetch::Proxy;
use osbuild_sandbox::CancelToken;
use serde_json::{Map, Value};

/// Downloads items into the cache.
pub trait SourceModule: Sync {
    /// Makes sure that all items are in the cache. Failures are in the outcome, item by item.
    fn download(
        &self,
        request: &SourceRequest<'_>,
        report: &(dyn Fn(SourceEvent) + Sync),
    ) -> SourceOutcome;
}

/// What is known of items beyond what the manifest says, by checksum.
pub type ItemHints = HashMap<String, ItemHint>;

/// What is known of one item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemHint {
    /// How long it is, in bytes: a server that sends more is not listened to.
    pub size: Option<u64>,
    /// The proxy to go through, unless the environment names one for all of osbuild's downloads.
    pub proxy: Option<Proxy>,
}

/// What a source is asked for.
#[derive(Clone, Copy, Debug)]
pub struct SourceRequest<'a> {
    /// The items, by checksum.
    pub items: &'a Map<String, Value>,
    /// The options of the source, as the manifest says.
    pub options: &'a Value,
    /// What the caller knows besides.
    pub hints: &'a ItemHints,
    /// The store's directory of downloads; each kind of content has a folder in it.
    pub cache: &'a Path,
    /// Ends the download early.
    pub cancel: &'a CancelToken,
}

/// What happens while a source works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceEvent {
    /// One line of talk, without its newline.
    Log(String),
    /// The same, of something that goes on but is not as it should be: a mirror that fails, secrets that are missing.
    Warning(String),
    /// An item is in the cache, verified: whoever waits for it can go on.
    Arrived {
        /// Its checksum.
        checksum: String,
    },
    /// How far the items are.
    Progress {
        /// Bytes that arrived.
        bytes_done: u64,
        /// Bytes there will be, once every size is known.
        bytes_total: Option<u64>,
        /// Items that are there or given up.
        files_done: usize,
        /// All items.
        files_total: usize,
    },
}

/// What came of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceOutcome {
    /// The name of the source.
    pub source_type: &'static str,
    /// Whether everything is in the cache.
    pub success: bool,
    /// One entry per item, and possibly a last one that sums up.
    pub results: Vec<SourceResult>,
}

impl SourceOutcome {
    /// An outcome that is a success if no result has an error.
    pub fn new(source_type: &'static str, results: Vec<SourceResult>) -> Self {
        Self {
            source_type,
            success: results.iter().all(|result| result.error.is_none()),
            results,
        }
    }
}

/// What came of one item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceResult {
    /// Which item; none if the result is about all of them.
    pub checksum: Option<String>,
    /// Whether it was in the cache before; none where upstream leaves it out.
    pub cached: Option<bool>,
    /// Why it failed; none if it did not.
    pub error: Option<String>,
}
