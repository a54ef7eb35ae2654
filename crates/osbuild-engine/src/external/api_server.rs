//! The sockets of one stage: each is a place that programs connect to, send a request, and may get a reply.
//!
//! ```text
//! RUN-DIRECTORY/api-XXXXXX/
//!   osbuild       what a stage reports; shown in its sandbox
//!   remoteloop    loop devices for a stage; shown in its sandbox
//!   store         trees and downloads for inputs, which run on the host
//! ```

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread::{Scope, ScopedJoinHandle};

use anyhow::{Context as _, Result};
use fs_err as fs;
use osbuild_manifest::value::Value;
use osbuild_sandbox::{CancelToken, Packet, PacketListener, PacketSocket};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tempfile::TempDir;

use crate::external::protocol;
use crate::stage_arguments::object;

/// More connections than any module needs; who asks for more does not get them.
const MAXIMUM_CONNECTIONS: usize = 256;

/// Messages that are still read once the stage is over.
const MAXIMUM_LAST_MESSAGES: usize = 1000;

/// What is behind one socket.
pub(crate) trait Endpoint: Send {
    /// The name of the socket.
    fn name(&self) -> &'static str;

    /// Answers a request; none if no reply is due.
    ///
    /// # Errors
    /// What goes wrong is reported to whoever asked.
    fn request(
        &mut self,
        request: &Value,
        descriptors: &mut Vec<OwnedFd>,
    ) -> Result<Option<Value>, ApiError>;

    /// Is told of something that was no request.
    fn misuse(&mut self, problem: &str);
}

/// What the one who asked is told of an error, as an exception of Python.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
}

impl ApiError {
    /// Tells of a member that is missing, as Python does.
    pub(crate) fn missing(member: &str) -> Self {
        Self {
            kind: "KeyError",
            text: format!("'{member}'"),
        }
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(error: anyhow::Error) -> Self {
        Self {
            kind: "RuntimeError",
            text: format!("{error:#}"),
        }
    }
}

/// A thread that serves sockets, until this is dropped.
pub(crate) struct ApiServer<'scope> {
    directory: TempDir,
    stop: CancelToken,
    thread: Option<ScopedJoinHandle<'scope, ()>>,
}

impl<'scope> ApiServer<'scope> {
    /// Opens the sockets and serves them.
    pub(crate) fn start(
        scope: &'scope Scope<'scope, '_>,
        run_directory: &Path,
        endpoints: Vec<Box<dyn Endpoint + 'scope>>,
    ) -> Result<Self> {
        fs::create_dir_all(run_directory)?;
        let directory = tempfile::Builder::new()
            .prefix("api-")
            .tempdir_in(run_directory)
            .with_context(|| format!("making a directory in {}", run_directory.display()))?;
        let listeners = endpoints
            .into_iter()
            .map(|endpoint| {
                let listener = PacketListener::bind(&directory.path().join(endpoint.name()))?;
                Ok(Served { endpoint, listener })
            })
            .collect::<Result<Vec<_>>>()?;
        let stop = CancelToken::new()?;
        let of_thread = stop.clone();
        let thread = scope.spawn(move || {
            let mut connections = Connections {
                served: listeners,
                open: Vec::new(),
            };
            if let Err(error) = connections.serve(&of_thread) {
                tracing::warn!("serving the sockets of a stage: {error:#}");
            }
        });
        Ok(Self {
            directory,
            stop,
            thread: Some(thread),
        })
    }

    /// Gives the path of a socket on the host.
    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Serves what was asked until now, and ends.
    pub(crate) fn finish(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("serving the sockets of a stage failed");
        }
    }
}

impl Drop for ApiServer<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}

struct Served<'a> {
    endpoint: Box<dyn Endpoint + 'a>,
    listener: PacketListener,
}

/// The sockets, and who is connected to which.
struct Connections<'a> {
    served: Vec<Served<'a>>,
    open: Vec<(usize, PacketSocket)>,
}

impl Connections<'_> {
    fn serve(&mut self, stop: &CancelToken) -> Result<()> {
        while !stop.is_cancelled() {
            let ready = self.wait(Some(stop), None)?;
            self.handle(&ready);
        }
        // What a stage sent just before it ended counts.
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        for _ in 0..MAXIMUM_LAST_MESSAGES {
            let ready = self.wait(None, Some(&now))?;
            if ready.is_empty() {
                break;
            }
            self.handle(&ready);
        }
        Ok(())
    }

    /// Waits until something can be read; gives the indices: listeners first, then connections.
    fn wait(&self, stop: Option<&CancelToken>, timeout: Option<&Timespec>) -> Result<Vec<usize>> {
        let listeners = self.served.iter().map(|served| served.listener.as_fd());
        let connections = self.open.iter().map(|(_, socket)| socket.as_fd());
        let count = self.served.len() + self.open.len();
        let mut descriptors: Vec<_> = listeners
            .chain(connections)
            .chain(stop.map(CancelToken::wakeup))
            .map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN))
            .collect();
        match poll(&mut descriptors, timeout) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(error).context("waiting for requests"),
        }
        let is_ready = |index: &usize| !descriptors[*index].revents().is_empty();
        Ok((0..count).filter(is_ready).collect())
    }

    fn handle(&mut self, ready: &[usize]) {
        let listeners = self.served.len();
        // From the last: removing one leaves the indices before it.
        for index in ready.iter().rev() {
            match index.checked_sub(listeners) {
                Some(connection) => {
                    let (endpoint, socket) = &self.open[connection];
                    let endpoint = &mut *self.served[*endpoint].endpoint;
                    if let Connection::Closed = serve_one(endpoint, socket) {
                        self.open.remove(connection);
                    }
                }
                None => self.accept(*index),
            }
        }
    }

    fn accept(&mut self, index: usize) {
        match self.served[index].listener.accept() {
            Ok(Some(socket)) if self.open.len() < MAXIMUM_CONNECTIONS => {
                self.open.push((index, socket));
            }
            Ok(Some(_)) => self.served[index].endpoint.misuse("too many connections"),
            Ok(None) => {}
            Err(error) => tracing::warn!("{error:#}"),
        }
    }
}

enum Connection {
    Open,
    Closed,
}

/// Serves one packet of a connection.
fn serve_one(endpoint: &mut dyn Endpoint, socket: &PacketSocket) -> Connection {
    let packet = match socket.receive() {
        Ok(Some(packet)) => packet,
        Ok(None) => return Connection::Closed,
        Err(error) => {
            endpoint.misuse(&format!("{error:#}"));
            return Connection::Closed;
        }
    };
    let Packet {
        text,
        mut descriptors,
    } = packet;
    let request = match protocol::parse(&text) {
        Ok(request) => request,
        Err(error) => {
            endpoint.misuse(&format!("{error:#}"));
            return Connection::Closed;
        }
    };
    let reply = endpoint
        .request(&request, &mut descriptors)
        .unwrap_or_else(|error| Some(exception(&error)));
    if let Some(reply) = reply
        && let Err(error) = socket.send(reply.to_python_json().as_bytes(), &[])
    {
        tracing::debug!("replying to a module: {error:#}");
        return Connection::Closed;
    }
    Connection::Open
}

fn exception(error: &ApiError) -> Value {
    let exception = object([
        ("type", error.kind.into()),
        ("value", error.text.as_str().into()),
        ("traceback", "".into()),
    ]);
    Value::Object(object([
        ("method", "exception".into()),
        ("exception", exception.into()),
    ]))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex};
    use std::thread;

    use super::*;

    /// Repeats what it hears, fails on `null`.
    #[derive(Default)]
    struct Echo {
        problems: Arc<Mutex<Vec<String>>>,
    }

    impl Endpoint for Echo {
        fn name(&self) -> &'static str {
            "echo"
        }

        fn request(
            &mut self,
            request: &Value,
            _: &mut Vec<OwnedFd>,
        ) -> Result<Option<Value>, ApiError> {
            if *request == Value::Null {
                return Err(ApiError::missing("x"));
            }
            Ok(Some(request.clone()))
        }

        fn misuse(&mut self, problem: &str) {
            self.problems.lock().unwrap().push(problem.to_owned());
        }
    }

    /// Waits for the reply to a request that was sent.
    pub(crate) fn reply(socket: &PacketSocket) -> Option<String> {
        let mut descriptors = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)];
        let patience = Timespec {
            tv_sec: 20,
            tv_nsec: 0,
        };
        assert_eq!(poll(&mut descriptors, Some(&patience)).unwrap(), 1);
        let packet = socket.receive().unwrap()?;
        Some(String::from_utf8(packet.text).unwrap())
    }

    #[test]
    fn every_request_is_answered_and_garbage_ends_the_connection() {
        let directory = tempfile::tempdir().unwrap();
        let echo = Echo::default();
        let problems = Arc::clone(&echo.problems);
        thread::scope(|scope| {
            let endpoints: Vec<Box<dyn Endpoint>> = vec![Box::new(echo)];
            let run = directory.path().join("made/when/needed");
            let server = ApiServer::start(scope, &run, endpoints).unwrap();
            let path = server.socket("echo");
            let clients = [(); 3].map(|()| PacketSocket::connect(&path).unwrap());
            for client in &clients {
                client.send(b"[1]", &[]).unwrap();
                assert_eq!(reply(client).unwrap(), "[1]");
            }
            clients[0].send(b"null", &[]).unwrap();
            assert_eq!(
                reply(&clients[0]).unwrap(),
                r#"{"method": "exception", "exception": {"type": "KeyError", "value": "'x'", "traceback": ""}}"#
            );
            clients[1].send(b"\xff", &[]).unwrap();
            assert_eq!(reply(&clients[1]), None);
            clients[2].send(b"2", &[]).unwrap();
            assert_eq!(reply(&clients[2]).unwrap(), "2");
        });
        assert_eq!(*problems.lock().unwrap(), ["what it sent is not UTF-8"]);
        let left = fs::read_dir(directory.path().join("made/when/needed")).unwrap();
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn what_was_sent_before_the_end_is_heard() {
        let directory = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            let echo = Echo::default();
            let problems = Arc::clone(&echo.problems);
            thread::scope(|scope| {
                let endpoints: Vec<Box<dyn Endpoint>> = vec![Box::new(echo)];
                let mut server = ApiServer::start(scope, directory.path(), endpoints).unwrap();
                let client = PacketSocket::connect(&server.socket("echo")).unwrap();
                client.send(b"?", &[]).unwrap();
                drop(client);
                server.finish();
            });
            assert_eq!(problems.lock().unwrap().len(), 1);
        }
    }
}
