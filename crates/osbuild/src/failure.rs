//! The one shape in which anything that goes wrong reaches the user.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// What kind of thing went wrong; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The manifest or recipe is wrong.
    Document,
    /// A source, stage or pipeline failed, or the machine lacks something.
    Build,
    /// A signal asked the program to end.
    Interrupted {
        /// The signal's number.
        signal: i32,
    },
}

impl FailureKind {
    /// The exit code (upstream's: 1 failed, 2 wrong input, 130 interrupted); of a signal, that which shells give.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Document => 2,
            Self::Build => 1,
            Self::Interrupted { signal } => u8::try_from(128 + signal).unwrap_or(1),
        }
    }
}

/// What to do about a full disk.
pub(crate) const STORE_IS_FULL: &str =
    "make room there, or name a store on another disk with --store";

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file as the user named it.
    pub(crate) file: String,
    /// Its whole text, to show the line from.
    pub(crate) text: String,
    /// Line, counted from 1.
    pub(crate) line: usize,
    /// Column in characters, counted from 1.
    pub(crate) column: usize,
    /// Characters to underline, at least 1.
    pub(crate) length: usize,
}

/// What failed, where, why, and what to do next.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What kind of thing went wrong.
    pub(crate) kind: FailureKind,
    /// What failed and why, innermost last.
    pub(crate) source: anyhow::Error,
    /// Where in the user's file.
    pub(crate) place: Option<Box<Place>>,
    /// The last lines that the failing program wrote.
    pub(crate) last_lines: Vec<String>,
    /// What to do next.
    pub(crate) hints: Vec<String>,
    /// The whole output of what failed.
    pub(crate) log: Option<PathBuf>,
    /// Whether the user has been told already.
    pub(crate) is_told: bool,
}

impl Failure {
    /// A failure of this kind, with nothing but its cause.
    pub(crate) fn new(kind: FailureKind, source: impl Into<anyhow::Error>) -> Self {
        Self {
            kind,
            source: source.into(),
            place: None,
            last_lines: Vec::new(),
            hints: Vec::new(),
            log: None,
            is_told: false,
        }
    }

    /// Adds advice.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds the place in the user's file.
    pub(crate) fn with_place(mut self, place: Option<Place>) -> Self {
        self.place = place.map(Box::new);
        self
    }
}

/// All that is wrong, at least one; the first decides the exit code.
#[derive(Debug)]
pub(crate) struct Failures(pub(crate) Vec<Failure>);

impl Failures {
    /// A failure that the user was told of already: only the exit code is left to give.
    pub(crate) fn already_told(kind: FailureKind) -> Self {
        let mut failure = Failure::new(kind, anyhow::Error::msg(""));
        failure.is_told = true;
        Self(vec![failure])
    }

    /// The exit code of the program.
    pub(crate) fn exit_code(&self) -> u8 {
        self.0.first().map_or(1, |failure| failure.kind.exit_code())
    }
}

impl From<Failure> for Failures {
    fn from(failure: Failure) -> Self {
        Self(vec![failure])
    }
}

impl From<anyhow::Error> for Failures {
    fn from(error: anyhow::Error) -> Self {
        Failure::from(error).into()
    }
}

impl From<anyhow::Error> for Failure {
    fn from(source: anyhow::Error) -> Self {
        let is_full = source.chain().any(|cause| {
            cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
        });
        let failure = Self::new(FailureKind::Build, source);
        if is_full {
            failure.with_hint(STORE_IS_FULL)
        } else {
            failure
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "error: {:#}", self.source)?;
        if let Some(place) = &self.place {
            write!(formatter, "{}", place.snippet())?;
        }
        if !self.last_lines.is_empty() {
            writeln!(formatter, "  last lines of its output:")?;
            for line in &self.last_lines {
                writeln!(formatter, "    {line}")?;
            }
        }
        if let Some(log) = &self.log {
            writeln!(formatter, "  full log: {}", log.display())?;
        }
        for hint in &self.hints {
            writeln!(formatter, "  help: {hint}")?;
        }
        Ok(())
    }
}

impl Place {
    /// Shows the line with a caret under the place.
    fn snippet(&self) -> String {
        let Some(line) = self.text.lines().nth(self.line.saturating_sub(1)) else {
            return format!("  --> {}:{}:{}\n", self.file, self.line, self.column);
        };
        let (line, column) = shorten_around(line, self.column);
        let available = line.chars().count() + 1;
        let length = self
            .length
            .clamp(1, available.saturating_sub(column - 1).max(1));
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let gap: String = line
            .chars()
            .take(column - 1)
            .map(|character| if character == '\t' { '\t' } else { ' ' })
            .collect();
        format!(
            "{margin}--> {}:{}:{}\n{margin} |\n{number} | {line}\n{margin} | {gap}{}\n",
            self.file,
            self.line,
            self.column,
            "^".repeat(length)
        )
    }
}

/// Characters of a line that are shown on either side of the place; manifests can be one long line.
const CONTEXT: usize = 60;

/// Cuts a long line around a column (counted from 1); gives the piece and the column in it.
fn shorten_around(line: &str, column: usize) -> (String, usize) {
    let characters: Vec<char> = line.chars().collect();
    if characters.len() <= 2 * CONTEXT {
        return (line.to_owned(), column.max(1));
    }
    let place = column.saturating_sub(1).min(characters.len());
    let start = place.saturating_sub(CONTEXT);
    let end = (place + CONTEXT).min(characters.len());
    let prefix = if start > 0 { "…" } else { "" };
    let suffix = if end < characters.len() { "…" } else { "" };
    let piece: String = characters[start..end].iter().collect();
    (
        format!("{prefix}{piece}{suffix}"),
        place - start + 1 + prefix.chars().count(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_its_place_and_advice() {
        let failure = Failure::new(
            FailureKind::Document,
            anyhow::anyhow!("unknown key `pakages`"),
        )
        .with_place(Some(Place {
            file: "a.yaml".to_owned(),
            text: "name: x\npakages: []\n".to_owned(),
            line: 2,
            column: 1,
            length: 7,
        }))
        .with_hint("did you mean `packages`?");
        assert_eq!(
            failure.to_string(),
            "error: unknown key `pakages`\n --> a.yaml:2:1\n  |\n2 | pakages: []\n  | ^^^^^^^\n  help: did you mean `packages`?\n"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}HERE{}", "a".repeat(500), "b".repeat(500));
        let (piece, column) = shorten_around(&line, 501);
        assert_eq!(
            piece.chars().skip(column - 1).take(4).collect::<String>(),
            "HERE"
        );
        assert!(piece.chars().count() <= 2 * CONTEXT + 2);
    }
}
