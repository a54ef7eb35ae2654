//! Monitors: a build's events become text.

mod context;
mod json_record;
pub(crate) mod json_seq;
mod live;
mod log;
mod lossy_decoder;
mod one_at_a_time;
mod plain;
#[cfg(test)]
mod test_paper;

use std::borrow::Cow;
use std::fs::File;
use std::io::{IsTerminal as _, Write};
use std::os::fd::OwnedFd;

use osbuild_engine::event::{Event, Observer};
use osbuild_manifest::manifest::Manifest;

pub(crate) use json_seq::JsonSeqMonitor;
pub(crate) use live::LiveMonitor;
pub(crate) use log::LogMonitor;
pub(crate) use one_at_a_time::OneAtATime;
pub(crate) use plain::PlainMonitor;

use crate::printable::printable;

/// Says nothing.
pub(crate) struct NullMonitor;

impl Observer for NullMonitor {
    fn event(&mut self, _manifest: &Manifest, _event: &Event) {}
}

/// Where a monitor writes, with the escapes that its reader understands.
pub(crate) struct Paper {
    out: Box<dyn Write>,
    is_terminal: bool,
    is_coloured: bool,
}

impl Paper {
    /// Takes standard output, coloured when it is a terminal.
    pub(crate) fn stdout() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        Self {
            is_terminal,
            is_coloured: is_terminal,
            out: Box::new(std::io::stdout()),
        }
    }

    /// Takes a descriptor of the caller; coloured, as upstream does, when it and standard output are terminals.
    pub(crate) fn descriptor(descriptor: OwnedFd) -> Self {
        let is_terminal = descriptor.is_terminal();
        Self {
            is_terminal,
            is_coloured: is_terminal && std::io::stdout().is_terminal(),
            out: Box::new(File::from(descriptor)),
        }
    }

    /// Takes standard error, coloured when it is a terminal and `NO_COLOR` is not set.
    pub(crate) fn stderr() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self {
            is_terminal,
            is_coloured: is_terminal && std::env::var_os("NO_COLOR").is_none(),
            out: Box::new(std::io::stderr()),
        }
    }

    /// Takes any writer, without colours.
    #[cfg(test)]
    pub(crate) fn plain(out: Box<dyn Write>) -> Self {
        Self {
            out,
            is_terminal: false,
            is_coloured: false,
        }
    }

    /// Gives a name from the manifest as it can be written: on a terminal without control characters.
    pub(crate) fn name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        if self.is_terminal {
            printable(name)
        } else {
            Cow::Borrowed(name)
        }
    }

    /// Writes and flushes. A reader that went away does not end the build: the result still counts.
    pub(crate) fn write(&mut self, text: &str) {
        if let Err(error) = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush())
        {
            tracing::debug!(%error, "writing to the monitor");
        }
    }

    /// Writes in bold, on a cleared state, as upstream does.
    pub(crate) fn write_bold(&mut self, text: &str) {
        if self.is_coloured {
            self.write(&format!("\x1b[0m\x1b[1m{text}\x1b[0m"));
        } else {
            self.write(text);
        }
    }
}

/// Says how a build ended, in upstream's words.
fn ending(success: bool) -> &'static str {
    if success {
        "finished successfully"
    } else {
        "failed"
    }
}
