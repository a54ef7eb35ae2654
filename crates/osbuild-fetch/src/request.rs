//! What to fetch, and what came of it.

use std::path::PathBuf;

use crate::{Checksum, Proxy};

/// One file to fetch.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// Where to get it: mirrors, best first.
    pub urls: Vec<String>,
    /// What it must hash to.
    pub checksum: Checksum,
    /// Its name in the cache directory, a single path component.
    pub file_name: String,
    /// Its size in bytes, if known before asking; more is never taken.
    pub size: Option<u64>,
    /// Whether the server's certificate must be right.
    pub server_verification: ServerVerification,
    /// The certificate and key to show to the server.
    pub client_certificate: Option<ClientCertificate>,
    /// A PEM bundle of authorities to trust instead of the system's.
    pub certificate_authority: Option<PathBuf>,
    /// The proxy to go through, where it is another than the options'.
    pub proxy: Option<Proxy>,
    /// Further request headers.
    pub headers: Vec<(String, String)>,
}

impl FetchRequest {
    /// A request for one URL, stored under the text of its checksum, as osbuild's cache does.
    pub fn new(url: impl Into<String>, checksum: Checksum) -> Self {
        Self {
            urls: vec![url.into()],
            file_name: checksum.to_string(),
            checksum,
            size: None,
            server_verification: ServerVerification::Required,
            client_certificate: None,
            certificate_authority: None,
            proxy: None,
            headers: Vec::new(),
        }
    }
}

/// Whether a server must prove who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ServerVerification {
    /// Its certificate must be valid for its name.
    #[default]
    Required,
    /// Any certificate will do; only the file's checksum protects.
    Skipped,
}

/// The files that identify us to a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its unencrypted private key, PEM.
    pub key: PathBuf,
}

/// A verified file in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it was there already, or came from another fetcher while we waited for it.
    pub is_cached: bool,
    /// Its size in bytes.
    pub bytes: u64,
}
