//! Reads what a module on the host prints, line by line, while someone else may be waiting for its answer.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// Takes lines, without their newline.
pub(crate) type LineSink = Box<dyn FnMut(&str) + Send>;

/// The longest line; more is passed on in pieces.
const MAXIMUM_LINE: usize = 64 * 1024;

/// How many lines are remembered for when the module fails.
const REMEMBERED_LINES: usize = 20;

const PIECE: usize = 16 * 1024;

/// A thread that reads lines until the other end of a pipe is closed.
pub(crate) struct LineReader {
    shared: Arc<Mutex<Lines>>,
    thread: Option<JoinHandle<()>>,
}

struct Lines {
    pipe: Arc<OwnedFd>,
    rest: Vec<u8>,
    last: VecDeque<String>,
    sink: LineSink,
}

impl LineReader {
    /// Starts to read.
    pub(crate) fn start(pipe: OwnedFd, sink: LineSink) -> Result<Self> {
        rustix::io::ioctl_fionbio(&pipe, true).context("preparing a pipe")?;
        let pipe = Arc::new(pipe);
        let shared = Arc::new(Mutex::new(Lines {
            pipe: Arc::clone(&pipe),
            rest: Vec::new(),
            last: VecDeque::new(),
            sink,
        }));
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("lines of a module".to_owned())
            .spawn(move || read_to_end(&pipe, &of_thread))
            .context("starting a thread")?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Passes on what was printed so far.
    pub(crate) fn flush(&self) {
        lock(&self.shared).read_all();
    }

    /// Gives the last lines.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        self.flush();
        lock(&self.shared).last.iter().cloned().collect()
    }

    /// Passes a line on as if the module had printed it.
    pub(crate) fn add(&self, line: &str) {
        lock(&self.shared).emit(line);
    }

    /// Waits for the end of the pipe: whoever could write to it must be gone.
    pub(crate) fn finish(&mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("reading the lines of a module failed");
        }
    }
}

fn read_to_end(pipe: &OwnedFd, shared: &Mutex<Lines>) {
    loop {
        let mut descriptors = [PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)];
        match poll(&mut descriptors, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                tracing::warn!(%error, "waiting for the lines of a module");
                return;
            }
        }
        if lock(shared).read_all() == Pipe::Closed {
            return;
        }
    }
}

#[derive(PartialEq, Eq)]
enum Pipe {
    Open,
    Closed,
}

impl Lines {
    /// Reads what is there.
    fn read_all(&mut self) -> Pipe {
        let mut piece = [0; PIECE];
        loop {
            match rustix::io::read(&*self.pipe, &mut piece[..]) {
                Ok(0) => {
                    self.emit_rest();
                    return Pipe::Closed;
                }
                Ok(length) => self.take(&piece[..length]),
                Err(Errno::AGAIN) => return Pipe::Open,
                Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::warn!(%error, "reading the lines of a module");
                    return Pipe::Closed;
                }
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while let Some((end, next)) = end_of_line(&self.rest) {
            let line: Vec<u8> = self.rest.drain(..next).collect();
            self.emit(&String::from_utf8_lossy(&line[..end]));
        }
        if self.rest.len() >= MAXIMUM_LINE {
            self.emit_rest();
        }
    }

    fn emit_rest(&mut self) {
        if !self.rest.is_empty() {
            let mut line = std::mem::take(&mut self.rest);
            line.truncate(line.strip_suffix(b"\r").map_or(line.len(), <[u8]>::len));
            self.emit(&String::from_utf8_lossy(&line));
        }
    }

    fn emit(&mut self, line: &str) {
        if self.last.len() == REMEMBERED_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
        (self.sink)(line);
    }
}

/// Finds where the first line ends and the next begins. Python ends lines at `\n`, `\r\n` and `\r`, which is what
/// programs write that draw their progress.
fn end_of_line(text: &[u8]) -> Option<(usize, usize)> {
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
    match (text[end], text.get(end + 1)) {
        // Its newline may be on the way.
        (b'\r', None) => None,
        (b'\r', Some(b'\n')) => Some((end, end + 2)),
        _ => Some((end, end + 1)),
    }
}

fn lock(lines: &Mutex<Lines>) -> MutexGuard<'_, Lines> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// Gives the lines that come out of these bytes.
    fn lines(bytes: &[u8]) -> Vec<String> {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let (sender, receiver) = channel();
        let sink = Box::new(move |line: &str| sender.send(line.to_owned()).unwrap());
        let mut lines = LineReader::start(reader, sink).unwrap();
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = rustix::io::write(&writer, rest).unwrap();
            rest = &rest[written..];
        }
        drop(writer);
        lines.finish();
        drop(lines);
        receiver.into_iter().collect()
    }

    #[test]
    fn lines_come_out_whole_whatever_is_in_them() {
        assert_eq!(
            lines(b"one\n\ntw\xffo\nlast"),
            ["one", "", "tw\u{fffd}o", "last"]
        );
        assert_eq!(lines(b""), [""; 0]);
        assert_eq!(lines(b"1%\r2%\r\n\r3%\r"), ["1%", "2%", "", "3%"]);
    }

    #[test]
    fn a_megabyte_without_a_newline_comes_in_pieces() {
        let pieces = lines(&vec![b'x'; 1_000_000]);
        assert!(pieces.len() > 10);
        assert_eq!(pieces.iter().map(String::len).sum::<usize>(), 1_000_000);
    }

    #[test]
    fn the_last_lines_are_remembered() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let lines = LineReader::start(reader, Box::new(|_| {})).unwrap();
        for number in 0..30 {
            rustix::io::write(&writer, format!("{number}\n").as_bytes()).unwrap();
        }
        let last = lines.last_lines();
        assert_eq!(last.len(), REMEMBERED_LINES);
        assert_eq!(last.last().unwrap(), "29");
    }
}
