//! Sources: they bring bytes into the store's cache.

mod curl;
mod curl_secrets;
mod inline;

pub use curl::Curl;
pub use inline::Inline;

/// The folder of the cache that holds plain files, named by their checksum.
pub const FILES: &str = "org.osbuild.files";
