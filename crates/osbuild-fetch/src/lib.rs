//! URL and checksum to verified file; the only async code.
//!
//! A file in a cache directory is trusted by its name, so nothing gets that name before its
//! checksum matched:
//!
//! ```text
//! CACHE/sha256:<hex>                 a verified file
//! CACHE/.unverified-sha256:<hex>     a transfer under way; also the lock that keeps two
//!                                    fetchers from loading one file twice
//! ```
//!
//! A transfer that was killed leaves its `.unverified-` file; the next fetch of that file takes it
//! over and goes on where it ended.

mod checksum;
mod client;
mod disk_space;
mod error;
mod event;
mod fetch;
mod fetch_file;
mod local_file;
mod mirror_list;
mod mirrors;
mod options;
mod partial_file;
mod request;
mod sink;
mod speed_watch;
mod standing;
mod transfer;
mod url;

pub use checksum::{Algorithm, Checksum, ChecksumSyntaxError, Hasher};
pub use error::FetchError;
pub use event::FetchEvent;
pub use fetch::{fetch_all, fetch_bytes, fetch_bytes_until, fetch_request_bytes};
pub use mirror_list::{MirrorListFormat, fetch_mirrors};
pub use options::{FetchOptions, Proxy, SpeedLimit, user_agent};
pub use request::{ClientCertificate, FetchRequest, Fetched, ServerVerification};
pub use url::{file_in_repository, quote_path};
