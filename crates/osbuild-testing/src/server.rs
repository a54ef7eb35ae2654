//! An HTTP server on the loopback interface that answers as told, faults included.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often threads look whether the server stops.
const POLL: Duration = Duration::from_millis(5);

/// How long a client may leave what it was sent unread.
const PATIENCE: Duration = Duration::from_secs(10);

/// One answer to one request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The file, or the part of it that was asked for.
    File(Vec<u8>),
    /// The whole file, whatever part was asked for.
    WholeFile(Vec<u8>),
    /// A status without a file.
    Status(u16),
    /// A status with one more header.
    StatusWith(u16, &'static str, String),
    /// Go elsewhere.
    Redirect(String),
    /// As `File`, but after so many bytes the connection is reset.
    ResetAfter(Vec<u8>, usize),
    /// As `File`, but after so many bytes the connection ends in good order.
    EndAfter(Vec<u8>, usize),
    /// As `File`, but after so many bytes nothing comes any more.
    StallAfter(Vec<u8>, usize),
    /// As `File`, but a piece of so many bytes at a time, with a pause after each.
    Slowly(Vec<u8>, usize, Duration),
    /// Accepts the request and says nothing.
    Silence,
}

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The path with its query; the whole URL if the client takes us for a proxy.
    pub path: String,
    /// Names in lower case, and values.
    pub headers: HashMap<String, String>,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// A running server; it stops when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    state: Arc<State>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    is_stopping: AtomicBool,
    scripts: Mutex<HashMap<String, Script>>,
    requests: Mutex<Vec<Request>>,
    at_work: AtomicUsize,
    most_at_work: AtomicUsize,
}

/// The answers for one path, in turn; the last one is given again and again.
#[derive(Debug)]
struct Script {
    answers: Vec<Answer>,
    next: usize,
}

impl Server {
    /// Starts a server on a free port.
    pub fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let acceptor = std::thread::spawn(move || accept(&listener, &shared));
        Ok(Self {
            address,
            state,
            acceptor: Some(acceptor),
        })
    }

    /// Says what to answer for a path: each answer once, then the last one for ever.
    pub fn answer(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        let script = Script {
            answers: answers.into_iter().collect(),
            next: 0,
        };
        assert!(!script.answers.is_empty(), "`{path}` needs an answer");
        lock(&self.state.scripts).insert(path.to_owned(), script);
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was asked for so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state.requests).clone()
    }

    /// How many requests were answered at one time at most.
    pub fn most_at_work(&self) -> usize {
        self.state.most_at_work.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.is_stopping.store(true, Ordering::SeqCst);
        if let Some(acceptor) = self.acceptor.take()
            && acceptor.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the test server failed");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    let mut connections = Vec::new();
    while !state.is_stopping.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((stream, _)) => {
                let state = Arc::clone(state);
                connections.push(std::thread::spawn(move || {
                    // A client that goes away in the middle is what many tests are about.
                    if let Err(error) = converse(&stream, &state) {
                        drop(error);
                    }
                }));
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                std::thread::sleep(POLL);
            }
            Err(error) => panic!("the test server cannot accept connections: {error}"),
        }
    }
    for connection in connections {
        connection
            .join()
            .expect("no thread of the test server fails");
    }
}

/// Answers requests on one connection until either side ends it.
fn converse(stream: &TcpStream, state: &State) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    // Short enough that an idle connection does not hold up the end of a test.
    stream.set_read_timeout(Some(POLL))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader, state)? {
        let at_work = AtWork::begin(state);
        let answer = state.next_answer(&request);
        lock(&state.requests).push(request.clone());
        if give(stream, &request, answer, at_work)? == Connection::Ends {
            break;
        }
    }
    Ok(())
}

/// Counts a request as being answered for as long as it lives.
struct AtWork<'a>(&'a State);

impl<'a> AtWork<'a> {
    fn begin(state: &'a State) -> Self {
        let now = state.at_work.fetch_add(1, Ordering::SeqCst) + 1;
        state.most_at_work.fetch_max(now, Ordering::SeqCst);
        Self(state)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(PartialEq, Eq)]
enum Connection {
    Stays,
    Ends,
}

impl State {
    fn next_answer(&self, request: &Request) -> Answer {
        let mut scripts = lock(&self.scripts);
        let Some(script) = scripts.get_mut(&request.path) else {
            return Answer::Status(404);
        };
        let answer = script.answers[script.next].clone();
        script.next = (script.next + 1).min(script.answers.len() - 1);
        answer
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }
}

fn read_request(
    reader: &mut BufReader<&TcpStream>,
    state: &State,
) -> std::io::Result<Option<Request>> {
    let Some(first) = read_line(reader, state)? else {
        return Ok(None);
    };
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = HashMap::new();
    while let Some(line) = read_line(reader, state)? {
        if line.is_empty() {
            return Ok(Some(Request { path, headers }));
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    Ok(None)
}

/// Reads a line without its end; none at the end of the connection or of the server.
fn read_line(reader: &mut BufReader<&TcpStream>, state: &State) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    while !state.is_stopping() {
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => return Ok(None),
            Ok(_) if line.ends_with(b"\n") => {
                let text = String::from_utf8_lossy(&line);
                return Ok(Some(text.trim_end().to_owned()));
            }
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn give(
    stream: &TcpStream,
    request: &Request,
    answer: Answer,
    at_work: AtWork<'_>,
) -> std::io::Result<Connection> {
    let everything = usize::MAX;
    let state = at_work.0;
    match answer {
        Answer::File(file) => {
            send_part(stream, request, &file, everything)?;
            Ok(Connection::Stays)
        }
        Answer::WholeFile(file) => {
            send_head(stream, 200, &[("Content-Length", file.len().to_string())])?;
            write(stream, &file)?;
            Ok(Connection::Stays)
        }
        Answer::Status(status) => {
            send_head(stream, status, &[("Content-Length", "0".to_owned())])?;
            Ok(Connection::Stays)
        }
        Answer::StatusWith(status, name, value) => {
            send_head(
                stream,
                status,
                &[("Content-Length", "0".to_owned()), (name, value)],
            )?;
            Ok(Connection::Stays)
        }
        Answer::Redirect(url) => {
            send_head(
                stream,
                302,
                &[("Content-Length", "0".to_owned()), ("Location", url)],
            )?;
            Ok(Connection::Stays)
        }
        Answer::ResetAfter(file, count) => {
            send_part(stream, request, &file, count)?;
            // The client must have read what was sent: a reset may throw it away.
            std::thread::sleep(POLL * 10);
            rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO))?;
            Ok(Connection::Ends)
        }
        Answer::EndAfter(file, count) => {
            send_part(stream, request, &file, count)?;
            stream.shutdown(Shutdown::Both)?;
            Ok(Connection::Ends)
        }
        Answer::StallAfter(file, count) => {
            send_part(stream, request, &file, count)?;
            wait_for_end(state);
            Ok(Connection::Ends)
        }
        Answer::Slowly(file, piece, pause) => {
            let (_, rest) = send_part(stream, request, &file, 0)?;
            let (rest, last) = rest.split_at(rest.len().saturating_sub(1));
            for piece in rest.chunks(piece) {
                if state.is_stopping() {
                    break;
                }
                write(stream, piece)?;
                std::thread::sleep(pause);
            }
            // Once it has all, the client may ask for the next file before this thread goes on.
            drop(at_work);
            write(stream, last)?;
            Ok(Connection::Stays)
        }
        Answer::Silence => {
            wait_for_end(state);
            Ok(Connection::Ends)
        }
    }
}

fn wait_for_end(state: &State) {
    while !state.is_stopping() {
        std::thread::sleep(POLL);
    }
}

/// Sends the head and the first bytes of what was asked for; gives what was and what was not sent.
fn send_part<'a>(
    stream: &TcpStream,
    request: &Request,
    file: &'a [u8],
    most: usize,
) -> std::io::Result<(&'a [u8], &'a [u8])> {
    let first = request.header("range").and_then(|range| {
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse()
            .ok()
    });
    let part = match first {
        Some(first) if first >= file.len() => {
            send_head(stream, 416, &[("Content-Length", "0".to_owned())])?;
            return Ok((&[], &[]));
        }
        Some(first) => {
            let range = format!("bytes {first}-{}/{}", file.len() - 1, file.len());
            let part = &file[first..];
            send_head(
                stream,
                206,
                &[
                    ("Content-Length", part.len().to_string()),
                    ("Content-Range", range),
                ],
            )?;
            part
        }
        None => {
            send_head(stream, 200, &[("Content-Length", file.len().to_string())])?;
            file
        }
    };
    let (sent, rest) = part.split_at(most.min(part.len()));
    write(stream, sent)?;
    Ok((sent, rest))
}

fn send_head(stream: &TcpStream, status: u16, headers: &[(&str, String)]) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Status\r\n");
    for (name, value) in headers {
        head += name;
        head += ": ";
        head += value;
        head += "\r\n";
    }
    head += "\r\n";
    write(stream, head.as_bytes())
}

fn write(mut stream: &TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes)
}
