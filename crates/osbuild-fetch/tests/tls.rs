//! Certificates: whom we trust, and who we say we are.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;

use osbuild_fetch::{
    Algorithm, ClientCertificate, FetchError, FetchOptions, FetchRequest, Fetched, Hasher, Proxy,
    ServerVerification, fetch_all,
};
use osbuild_testing::certificates::make_certificates;
use osbuild_testing::needs;

const CONTENT: &[u8] = b"behind TLS";

/// An HTTPS server that shows the files of its directory.
struct TlsServer {
    process: Child,
    address: String,
}

impl TlsServer {
    fn start(directory: &Path, more: &[&str]) -> Self {
        let mut process = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-WWW"])
            .args(["-cert", "server.pem", "-key", "server.key"])
            .args(more)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let address = output
            .lines()
            .map(Result::unwrap)
            .find_map(|line| line.strip_prefix("ACCEPT ").map(ToOwned::to_owned))
            .unwrap();
        Self { process, address }
    }

    fn request(&self) -> FetchRequest {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(CONTENT);
        FetchRequest::new(format!("https://{}/file", self.address), hasher.finish())
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn fetch(request: FetchRequest) -> Result<Fetched, FetchError> {
    let cache = tempfile::tempdir().unwrap();
    let options = FetchOptions {
        proxy: Proxy::Direct,
        ..FetchOptions::default()
    };
    let cancel = AtomicBool::new(false);
    fetch_all(&[request], cache.path(), &options, &cancel, &|_| {}).remove(0)
}

fn certificates() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    make_certificates(directory.path()).unwrap();
    fs_err::write(directory.path().join("file"), CONTENT).unwrap();
    let path = directory.path().to_owned();
    (directory, path)
}

#[test]
fn a_server_must_be_trusted_unless_told_otherwise() {
    needs![tool("openssl")];
    let (_keep, directory) = certificates();
    let server = TlsServer::start(&directory, &[]);

    let error = fetch(server.request()).unwrap_err();
    let FetchError::Connect { reason, .. } = &error else {
        panic!("{error}");
    };
    assert!(reason.contains("certificate"), "{reason}");

    let mut request = server.request();
    request.certificate_authority = Some(directory.join("ca.pem"));
    assert_eq!(fetch(request).unwrap().bytes, CONTENT.len() as u64);

    let mut request = server.request();
    request.server_verification = ServerVerification::Skipped;
    assert_eq!(fetch(request).unwrap().bytes, CONTENT.len() as u64);
}

#[test]
fn a_client_shows_its_certificate() {
    needs![tool("openssl")];
    let (_keep, directory) = certificates();
    let server = TlsServer::start(&directory, &["-CAfile", "ca.pem", "-Verify", "2"]);
    let mut request = server.request();
    request.certificate_authority = Some(directory.join("ca.pem"));
    let error = fetch(request.clone()).unwrap_err().to_string();
    assert!(error.contains("received fatal alert"), "{error}");

    request.client_certificate = Some(ClientCertificate {
        certificate: directory.join("client.pem"),
        key: directory.join("client.key"),
    });
    assert_eq!(fetch(request.clone()).unwrap().bytes, CONTENT.len() as u64);

    request.client_certificate = Some(ClientCertificate {
        certificate: directory.join("client.pem"),
        key: directory.join("none.key"),
    });
    let error = fetch(request).unwrap_err().to_string();
    assert!(error.contains("none.key"), "{error}");
}
