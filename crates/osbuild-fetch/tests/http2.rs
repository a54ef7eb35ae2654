//! HTTP/2: a server that speaks nothing else, and breaks off in the ways of that protocol.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Request, Response, StatusCode};
use osbuild_fetch::{
    Algorithm, FetchError, FetchOptions, FetchRequest, Fetched, Hasher, Proxy, fetch_all,
};
use osbuild_testing::certificates::make_certificates;
use osbuild_testing::needs;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

const SIZE: usize = 300_000;
/// Where the server breaks off.
const PART: usize = 100_000;

/// How an answer goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// As asked for.
    Good,
    /// The stream is reset after a part of the file.
    Reset,
    /// The server says that it did not look at the request (RFC 9113, section 8.7).
    Refused,
    /// The server takes no more requests on this connection, and ends those that it has.
    GoAway,
    /// The connection ends after a part of the file.
    Cut,
}

/// What the server saw of one request.
struct Seen {
    connection: usize,
    path: String,
    range: Option<String>,
}

struct State {
    content: Bytes,
    /// How the first requests for `/0` are answered.
    answers: Mutex<Vec<Answer>>,
    seen: Mutex<Vec<Seen>>,
    /// Requests that are being answered, and the most at one time.
    at_work: Mutex<(usize, usize)>,
    /// Before each answer.
    delay: Duration,
}

/// A server for TLS that offers `h2` only; it stops when it is dropped.
struct Http2Server {
    state: Arc<State>,
    address: SocketAddr,
    certificates: tempfile::TempDir,
    _runtime: Runtime,
}

impl Http2Server {
    fn start(answers: &[Answer], delay: Duration) -> Self {
        let certificates = tempfile::tempdir().unwrap();
        make_certificates(certificates.path()).unwrap();
        let acceptor = acceptor(certificates.path());
        let state = Arc::new(State {
            content: (0..SIZE).map(|number| (number % 251) as u8).collect(),
            answers: Mutex::new(answers.to_vec()),
            seen: Mutex::default(),
            at_work: Mutex::default(),
            delay,
        });
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::clone(&state);
        runtime.spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(converse(
                    acceptor.clone(),
                    stream,
                    Arc::clone(&shared),
                    connection,
                ));
            }
        });
        Self {
            state,
            address,
            certificates,
            _runtime: runtime,
        }
    }

    fn requests(&self, count: usize) -> Vec<FetchRequest> {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(&self.state.content);
        let checksum = hasher.finish();
        (0..count)
            .map(|number| {
                let url = format!("https://{}/{number}", self.address);
                let mut request = FetchRequest::new(url, checksum.clone());
                request.file_name = number.to_string();
                request.certificate_authority = Some(self.certificates.path().join("ca.pem"));
                request
            })
            .collect()
    }

    /// Fetches that many files, and checks what is in the cache then.
    fn fetch(&self, count: usize) -> Vec<Result<Fetched, FetchError>> {
        let cache = tempfile::tempdir().unwrap();
        let options = FetchOptions {
            per_host: NonZeroUsize::new(4).unwrap(),
            first_delay: Duration::from_millis(1),
            longest_delay: Duration::from_millis(4),
            proxy: Proxy::Direct,
            ..FetchOptions::default()
        };
        let requests = self.requests(count);
        let cancel = AtomicBool::new(false);
        let results = fetch_all(&requests, cache.path(), &options, &cancel, &|_| {});
        for fetched in results.iter().flatten() {
            assert_eq!(fs_err::read(&fetched.path).unwrap(), self.state.content);
        }
        let names: Vec<PathBuf> = fs_err::read_dir(cache.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(names.len(), results.iter().flatten().count(), "{names:?}");
        results
    }

    /// The connections of requests, and the ranges that were asked for.
    fn seen(&self) -> (Vec<usize>, Vec<Option<String>>) {
        let seen = self.state.seen.lock().unwrap();
        seen.iter()
            .map(|seen| (seen.connection, seen.range.clone()))
            .unzip()
    }
}

fn acceptor(certificates: &Path) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certificates.join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(certificates.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// Answers the requests of one connection, side by side.
async fn converse(acceptor: TlsAcceptor, stream: TcpStream, state: Arc<State>, connection: usize) {
    // A client that found a better connection meanwhile hangs up in the middle of a handshake.
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let Ok(mut session) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, respond))) = session.accept().await {
        let answer = {
            let mut seen = state.seen.lock().unwrap();
            let range = request.headers().get("range");
            seen.push(Seen {
                connection,
                path: request.uri().path().to_owned(),
                range: range.map(|range| range.to_str().unwrap().to_owned()),
            });
            let mut answers = state.answers.lock().unwrap();
            if request.uri().path() == "/0" && !answers.is_empty() {
                answers.remove(0)
            } else {
                Answer::Good
            }
        };
        match answer {
            Answer::GoAway => {
                tokio::spawn(give(Arc::clone(&state), request, respond, Answer::Good));
                session.graceful_shutdown();
            }
            Answer::Cut => {
                tokio::spawn(give(Arc::clone(&state), request, respond, answer));
                // The part is on its way; the rest never comes.
                let rest = async { while let Some(Ok(_)) = session.accept().await {} };
                drop(tokio::time::timeout(Duration::from_millis(300), rest).await);
                return;
            }
            _ => drop(tokio::spawn(give(
                Arc::clone(&state),
                request,
                respond,
                answer,
            ))),
        }
    }
}

async fn give(
    state: Arc<State>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    answer: Answer,
) {
    if answer == Answer::Refused {
        respond.send_reset(Reason::REFUSED_STREAM);
        return;
    }
    {
        let mut at_work = state.at_work.lock().unwrap();
        at_work.0 += 1;
        at_work.1 = at_work.1.max(at_work.0);
    }
    tokio::time::sleep(state.delay).await;
    let start: usize = request.headers().get("range").map_or(0, |range| {
        let range = range.to_str().unwrap();
        let start = range.strip_prefix("bytes=").unwrap();
        start.strip_suffix('-').unwrap().parse().unwrap()
    });
    let head = Response::builder().header("content-length", SIZE - start);
    let head = if start == 0 {
        head.status(StatusCode::OK)
    } else {
        let range = format!("bytes {start}-{}/{SIZE}", SIZE - 1);
        head.status(StatusCode::PARTIAL_CONTENT)
            .header("content-range", range)
    };
    let mut body = respond
        .send_response(head.body(()).unwrap(), false)
        .unwrap();
    let end = if answer == Answer::Good { SIZE } else { PART };
    let mut rest = state.content.slice(start..end);
    while !rest.is_empty() {
        body.reserve_capacity(rest.len());
        // None or an error: the client has left.
        let Some(Ok(room)) = std::future::poll_fn(|context| body.poll_capacity(context)).await
        else {
            break;
        };
        let piece = rest.split_to(room.min(rest.len()));
        if body
            .send_data(piece, answer == Answer::Good && rest.is_empty())
            .is_err()
        {
            break;
        }
    }
    state.at_work.lock().unwrap().0 -= 1;
    match answer {
        // A reset drops what has not been sent yet.
        Answer::Reset => {
            tokio::time::sleep(Duration::from_millis(100)).await;
            body.send_reset(Reason::INTERNAL_ERROR);
        }
        Answer::Cut => std::future::pending().await,
        _ => {}
    }
}

#[test]
fn files_come_side_by_side_on_one_connection() {
    needs![tool("openssl")];
    let server = Http2Server::start(&[], Duration::from_millis(20));
    for fetched in server.fetch(1).into_iter().chain(server.fetch(40)) {
        assert_eq!(fetched.unwrap().bytes, SIZE as u64);
    }
    let (connections, _) = server.seen();
    assert_eq!(connections.len(), 41);
    // Nobody knows beforehand that one connection is enough: the first four requests may each open their own.
    let used: BTreeSet<_> = connections[1 + 4..].iter().collect();
    assert_eq!(used.len(), 1, "{connections:?}");
    let (at_work, most) = *server.state.at_work.lock().unwrap();
    assert_eq!(at_work, 0);
    assert_eq!(most, 4, "as many as one host may be asked for");
}

#[test]
fn what_a_server_breaks_off_goes_on_where_it_ended() {
    needs![tool("openssl")];
    for answer in [Answer::Reset, Answer::Cut] {
        let server = Http2Server::start(&[answer], Duration::ZERO);
        for fetched in server.fetch(1) {
            assert_eq!(fetched.unwrap().bytes, SIZE as u64);
        }
        let (_, ranges) = server.seen();
        let rest = format!("bytes={PART}-");
        assert_eq!(ranges, [None, Some(rest)]);
    }
}

#[test]
fn a_connection_that_takes_no_more_requests_is_left() {
    needs![tool("openssl")];
    let server = Http2Server::start(&[Answer::GoAway], Duration::from_millis(20));
    for fetched in server.fetch(40) {
        assert_eq!(fetched.unwrap().bytes, SIZE as u64);
    }
    let (connections, ranges) = server.seen();
    assert!(ranges.iter().all(Option::is_none), "{ranges:?}");
    let left = server.state.seen.lock().unwrap();
    let left = left
        .iter()
        .find(|seen| seen.path == "/0")
        .unwrap()
        .connection;
    assert_ne!(connections.last(), Some(&left), "{connections:?}");
}

#[test]
fn a_request_that_was_refused_unseen_is_made_again() {
    needs![tool("openssl")];
    let server = Http2Server::start(&[Answer::Refused; 3], Duration::ZERO);
    for fetched in server.fetch(2) {
        assert_eq!(fetched.unwrap().bytes, SIZE as u64);
    }
    let (connections, _) = server.seen();
    assert_eq!(connections.len(), 5);
}
