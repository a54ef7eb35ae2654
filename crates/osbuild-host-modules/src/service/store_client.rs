//! The store, as inputs reach it from a process of their own: over the socket that the engine names to them.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use osbuild_sandbox::PacketSocket;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde_json::{Value, json};

use crate::ObjectSource;
use crate::sources::FILES;

/// A connection to the engine.
pub(super) struct StoreClient {
    /// One question at a time: answers come in the order of questions.
    socket: Mutex<PacketSocket>,
    downloads: PathBuf,
}

impl StoreClient {
    /// Connects, and asks where downloads are.
    pub(super) fn connect(path: &Path) -> Result<Self> {
        let socket = PacketSocket::connect(path)?;
        let files = ask(&socket, &json!({"method": "source", "name": FILES}))?;
        let files = files.context("the store does not say where downloads are")?;
        let downloads = files
            .parent()
            .context("downloads are at the top of the file system")?;
        Ok(Self {
            downloads: downloads.to_owned(),
            socket: Mutex::new(socket),
        })
    }
}

impl ObjectSource for StoreClient {
    fn tree(&self, object_id: &str) -> Option<PathBuf> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let question = json!({"method": "read-tree", "object-id": object_id});
        ask(&socket, &question).unwrap_or_else(|error| {
            tracing::warn!("asking the store for {object_id}: {error:#}");
            None
        })
    }

    fn downloads(&self) -> PathBuf {
        self.downloads.clone()
    }
}

/// Asks for a path; none if there is none.
fn ask(socket: &PacketSocket, question: &Value) -> Result<Option<PathBuf>> {
    socket.send(question.to_string().as_bytes(), &[])?;
    loop {
        let mut descriptors = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)];
        match poll(&mut descriptors, None) {
            Err(Errno::INTR) => {}
            result => {
                result.context("waiting for the store")?;
                break;
            }
        }
    }
    let packet = socket
        .receive()?
        .context("the store closed its connection")?;
    let answer: Value = serde_json::from_slice(&packet.text).context("reading its answer")?;
    if answer["method"] == "exception" {
        bail!(
            "{}",
            answer["exception"]["value"].as_str().unwrap_or("it failed")
        );
    }
    if let Some(error) = answer["error"].as_str() {
        bail!("{error}");
    }
    Ok(answer["path"].as_str().map(PathBuf::from))
}
