//! Manifest text: its value, and the place of everything in it.

use std::fmt;
use std::sync::Arc;

use crate::json::{Scanner, Span};
use crate::value::{Text, Value};

/// A manifest as it was written.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it says.
    pub value: Value,
    /// Where it says it.
    pub positions: Positions,
}

/// Reads the text of a manifest.
pub fn parse(text: &str) -> Result<Document, SyntaxError> {
    Ok(Document {
        value: Value::from_json(text)?,
        positions: Positions { text: text.into() },
    })
}

/// One step on the way from the root of a manifest to something in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathElement {
    /// A member of a map.
    Key(Text),
    /// An item of a list, from 0.
    Index(usize),
}

impl From<&str> for PathElement {
    fn from(key: &str) -> Self {
        Self::Key(key.into())
    }
}

impl From<&Text> for PathElement {
    fn from(key: &Text) -> Self {
        Self::Key(key.clone())
    }
}

impl From<usize> for PathElement {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// Shows a path as upstream does: `.` for the root, else `.key` and `[index]` joined, keys with spaces in quotes.
pub fn path_id(path: &[PathElement]) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    path.iter()
        .map(|element| match element {
            PathElement::Key(key) if key.code_points().any(|code| code == 0x20) => {
                format!(".'{key}'")
            }
            PathElement::Key(key) => format!(".{key}"),
            PathElement::Index(index) => format!("[{index}]"),
        })
        .collect()
}

/// Gives a path as the JSON list that upstream shows.
pub fn path_value(path: &[PathElement]) -> Value {
    path.iter()
        .map(|element| match element {
            PathElement::Key(key) => Value::String(key.clone()),
            PathElement::Index(index) => Value::from(*index as u64),
        })
        .collect::<Vec<_>>()
        .into()
}

/// Where the values of a document are. Found by reading the text again, so that it costs nothing until it is asked.
#[derive(Clone, Debug)]
pub struct Positions {
    text: Arc<str>,
}

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// The first byte.
    pub offset: usize,
    /// The number of bytes.
    pub length: usize,
}

impl Positions {
    /// Gives the whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Tells where the value at a path is.
    pub fn locate(&self, path: &[PathElement]) -> Option<Position> {
        self.find(path).map(|found| self.position(found.value))
    }

    /// Tells where the key of the member at a path is.
    pub fn locate_key(&self, path: &[PathElement]) -> Option<Position> {
        self.find(path)?.key.map(|span| self.position(span))
    }

    /// Tells where the value at a path is, or the innermost thing around it that exists.
    pub fn locate_nearest(&self, path: &[PathElement]) -> Option<Position> {
        (0..=path.len())
            .rev()
            .find_map(|length| self.locate(&path[..length]))
    }

    fn find(&self, path: &[PathElement]) -> Option<Found> {
        let mut scanner = Scanner::new(&self.text);
        scanner.skip_space();
        let mut found = Found {
            key: None,
            value: scanner.skip_value().ok()?,
        };
        for element in path {
            found = step(&self.text, found.value, element)?;
        }
        Some(found)
    }

    fn position(&self, span: Span) -> Position {
        let (line, column) = line_and_column(&self.text, span.start);
        Position {
            line,
            column,
            offset: span.start,
            length: span.end - span.start,
        }
    }
}

#[derive(Clone, Copy)]
struct Found {
    key: Option<Span>,
    value: Span,
}

/// Finds a member or item of the value at `span`.
fn step(text: &str, span: Span, element: &PathElement) -> Option<Found> {
    let mut scanner = Scanner::new(&text[..span.end]);
    scanner.move_to(span.start);
    match (scanner.peek()?, element) {
        (b'{', PathElement::Key(key)) => last_member(&mut scanner, key),
        (b'[', PathElement::Index(index)) => items(&mut scanner)?
            .get(*index)
            .map(|&value| Found { key: None, value }),
        // Upstream names a stage's mounts by their names, though they are a list.
        (b'[', PathElement::Key(name)) => items(&mut scanner)?
            .into_iter()
            .rev()
            .find(|&item| is_named(text, item, name))
            .map(|value| Found { key: None, value }),
        _ => None,
    }
}

/// Of members with the same key the last one counts.
fn last_member(scanner: &mut Scanner<'_>, wanted: &Text) -> Option<Found> {
    let mut found = None;
    scanner.enter().ok()?;
    let mut more = scanner.has_first(b'}');
    while more {
        scanner.skip_space();
        let start = scanner.offset();
        let key = scanner.string().ok()?;
        let key_span = Span {
            start,
            end: scanner.offset(),
        };
        scanner.colon().ok()?;
        let value = scanner.skip_value().ok()?;
        if key == *wanted {
            found = Some(Found {
                key: Some(key_span),
                value,
            });
        }
        more = scanner.has_next(b'}').ok()?;
    }
    found
}

fn items(scanner: &mut Scanner<'_>) -> Option<Vec<Span>> {
    let mut items = Vec::new();
    scanner.enter().ok()?;
    let mut more = scanner.has_first(b']');
    while more {
        items.push(scanner.skip_value().ok()?);
        more = scanner.has_next(b']').ok()?;
    }
    Some(items)
}

fn is_named(text: &str, item: Span, name: &Text) -> bool {
    Value::from_json(&text[item.start..item.end])
        .is_ok_and(|item| item.get("name").and_then(Value::as_text) == Some(name))
}

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

/// Why a text is not JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// What is wrong, lower case.
    pub message: String,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// The byte in the text.
    pub offset: usize,
}

impl SyntaxError {
    pub(crate) fn new(text: &str, offset: usize, message: &str) -> Self {
        let (line, column) = line_and_column(text, offset);
        Self {
            message: message.to_owned(),
            line,
            column,
            offset,
        }
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "line {}, column {}: {}",
            self.line, self.column, self.message
        )
    }
}

impl std::error::Error for SyntaxError {}
