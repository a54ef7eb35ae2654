//! The few words of upstream's reports that are coloured on a terminal.

use std::borrow::Cow;
use std::io::IsTerminal as _;

use crate::printable::printable;

const RESET: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";

/// How to write to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// As it is: it goes to a program or a file.
    Plain,
    /// Coloured, and without control characters that are not ours.
    Terminal,
}

impl Style {
    /// Finds out what standard output is.
    pub(crate) fn of_stdout() -> Self {
        if std::io::stdout().is_terminal() {
            Self::Terminal
        } else {
            Self::Plain
        }
    }

    /// Writes text that is not ours.
    pub(crate) fn foreign(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Plain => Cow::Borrowed(text),
            Self::Terminal => printable(text),
        }
    }

    /// Writes text that is not ours in bold.
    pub(crate) fn bold(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Terminal => format!("{BOLD}{}{RESET}", printable(text)),
        }
    }

    /// Writes a word of ours in bold and red.
    pub(crate) fn red(self, word: &str) -> String {
        match self {
            Self::Plain => word.to_owned(),
            Self::Terminal => format!("{BOLD}{RED}{word}{RESET}"),
        }
    }

    /// Writes a word of ours in bold and red, whatever came before it.
    pub(crate) fn alarm(self, word: &str) -> String {
        match self {
            Self::Plain => word.to_owned(),
            Self::Terminal => format!("{RESET}{}", self.red(word)),
        }
    }
}
