//! Sources: they bring bytes into the store's cache.

mod curl;
mod inline;
mod librepo;
mod secrets;
mod subscriptions;

pub use curl::Curl;
pub use inline::Inline;
pub use librepo::Librepo;

/// The folder of the cache that holds plain files, named by their checksum.
pub const FILES: &str = "org.osbuild.files";
