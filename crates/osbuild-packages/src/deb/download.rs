//! Brings small files of a repository here; a trait, so that tests need no network.

use anyhow::{Context as _, Result};
use osbuild_fetch::{FetchOptions, fetch_bytes};

/// Brings a file into memory.
pub trait Download: Sync {
    /// The content at an address, or nothing if the server says that it has no such file; an error if it is longer than
    /// `limit` bytes.
    fn download(&self, url: &str, limit: u64) -> Result<Option<Vec<u8>>>;
}

/// Downloads by HTTP and from local files, with the workspace's fetcher.
#[derive(Debug, Default)]
pub struct FetchDownload {
    /// How to fetch.
    pub options: FetchOptions,
}

impl Download for FetchDownload {
    fn download(&self, url: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        // The fetcher reports a missing local file like one that cannot be read.
        let path = url
            .strip_prefix("file://")
            .filter(|path| !path.contains('%'));
        if path.is_some_and(|path| !std::path::Path::new(path).exists()) {
            return Ok(None);
        }
        match fetch_bytes(url, limit, &self.options) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error).with_context(|| format!("downloading {url}")),
        }
    }
}
