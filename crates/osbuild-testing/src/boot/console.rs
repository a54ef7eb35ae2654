//! The serial console: what the machine says, searched as it comes.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Lines of the console that an error shows.
const TAIL_LINES: usize = 40;

/// Both ends of a serial line.
#[derive(Debug)]
pub struct Console {
    input: File,
    output: Receiver<Vec<u8>>,
    reader: Option<JoinHandle<()>>,
    text: String,
    /// What has been looked at already.
    position: usize,
    deadline: Instant,
}

impl Console {
    /// Talks through pipes; every wait ends at the deadline.
    pub fn new(
        input: impl Into<OwnedFd>,
        mut output: impl Read + Send + 'static,
        deadline: Instant,
    ) -> Self {
        let (sender, receiver) = channel();
        // Ends with the pipe, that is with the machine; joined by `finish`.
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length) = output.read(&mut piece) {
                if length == 0 || sender.send(piece[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            input: File::from(input.into()),
            output: receiver,
            reader: Some(reader),
            text: String::new(),
            position: 0,
            deadline,
        }
    }

    /// Waits until one of the patterns comes; returns which, and what came before it.
    pub fn expect(&mut self, patterns: &[&str]) -> Result<(usize, String)> {
        loop {
            let rest = &self.text[self.position..];
            let found = patterns
                .iter()
                .enumerate()
                .filter_map(|(index, pattern)| Some((rest.find(pattern)?, index)));
            if let Some((place, index)) = found.min() {
                let before = rest[..place].to_owned();
                self.position += place + patterns[index].len();
                return Ok((index, before));
            }
            self.read_more()
                .with_context(|| format!("waiting for {patterns:?} on the console"))?;
        }
    }

    fn read_more(&mut self) -> Result<()> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.output.recv_timeout(left) {
            Ok(piece) => {
                self.text += &String::from_utf8_lossy(&piece);
                Ok(())
            }
            Err(RecvTimeoutError::Timeout) => {
                bail!("the time is up; the console ends with\n{}", self.tail())
            }
            Err(RecvTimeoutError::Disconnected) => bail!(
                "the machine has ended; its console ends with\n{}",
                self.tail()
            ),
        }
    }

    /// Types a line.
    pub fn send_line(&mut self, line: &str) -> Result<()> {
        self.input
            .write_all(format!("{line}\n").as_bytes())
            .context("typing on the console")?;
        self.input.flush().context("typing on the console")
    }

    /// Returns everything the machine has said so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn tail(&self) -> String {
        let lines: Vec<_> = self.text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Waits for the reading thread, which ends when the other end of the pipe is closed.
    pub(crate) fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading a pipe does not panic");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::time::Duration;

    fn nowhere() -> File {
        fs_err::OpenOptions::new()
            .write(true)
            .open("/dev/null")
            .unwrap()
            .into()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(200)
    }

    #[test]
    fn the_first_of_the_patterns_wins_and_the_rest_stays() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut console = Console::new(nowhere(), reader, soon());
        writer.write_all(b"one two ").unwrap();
        writer.write_all(b"three").unwrap();
        assert_eq!(
            console.expect(&["three", "two"]).unwrap(),
            (1, "one ".to_owned())
        );
        assert_eq!(
            console.expect(&["one", "three"]).unwrap(),
            (1, " ".to_owned())
        );
        drop(writer);
        console.finish();
    }

    #[test]
    fn a_machine_that_says_nothing_is_given_up_on() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut console = Console::new(nowhere(), reader, soon());
        writer.write_all(b"Kernel panic\n").unwrap();
        let error = format!("{:#}", console.expect(&["login:"]).unwrap_err());
        let expected = "waiting for [\"login:\"] on the console: the time is up; the console ends with\nKernel panic";
        assert_eq!(error, expected);
    }

    #[test]
    fn a_machine_that_ends_is_not_waited_for() {
        let (reader, writer) = io::pipe().unwrap();
        let mut console = Console::new(nowhere(), reader, Instant::now() + Duration::from_mins(1));
        drop(writer);
        let started = Instant::now();
        assert!(
            format!("{:#}", console.expect(&["x"]).unwrap_err()).contains("the machine has ended")
        );
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
