//! What can be wrong with a recipe, and where.

use std::fmt;
use std::path::{Path, PathBuf};

/// In characters; no sentence of ours is longer, but the value that it is about may be.
const LONGEST_MESSAGE: usize = 400;

/// A place in a recipe, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line of the first character.
    pub line: usize,
    /// Column of the first character, in characters.
    pub column: usize,
}

impl Place {
    /// The place of a byte that follows valid UTF-8.
    pub(crate) fn of_offset(bytes: &[u8], offset: usize) -> Self {
        let before = String::from_utf8_lossy(&bytes[..offset]);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// One thing that is wrong with a recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeError {
    /// What is wrong, lower-case and without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Line of the recipe, counted from 1.
    pub line: usize,
    /// Column of the recipe, counted from 1, in characters.
    pub column: usize,
}

impl RecipeError {
    pub(crate) fn new(place: Place, message: impl Into<String>) -> Self {
        Self {
            message: presentable(message.into()),
            hint: None,
            line: place.line,
            column: place.column,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Cuts out the middle of a message that repeats a long value, and makes control characters of the value visible.
fn presentable(message: String) -> String {
    let mut message: String = if message.contains(char::is_control) {
        let shown = |letter: char| match letter {
            letter if letter.is_control() => letter.escape_default().collect(),
            letter => String::from(letter),
        };
        message.chars().map(shown).collect()
    } else {
        message
    };
    let count = message.chars().count();
    if count > LONGEST_MESSAGE {
        let start: String = message.chars().take(LONGEST_MESSAGE / 2).collect();
        let end: String = message.chars().skip(count - LONGEST_MESSAGE / 2).collect();
        message = format!("{start}…{end}");
    }
    message
}

impl fmt::Display for RecipeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.line, self.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(formatter, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with one recipe, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeErrors {
    /// The recipe's file, as it was named.
    pub path: PathBuf,
    /// The errors, in the order of their places; never empty.
    pub errors: Vec<RecipeError>,
}

impl fmt::Display for RecipeErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{}:{error}", self.path.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for RecipeErrors {}

/// Collects the errors of one recipe while its sections are read.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    errors: Vec<RecipeError>,
}

impl Problems {
    pub(crate) fn add(&mut self, error: RecipeError) {
        self.errors.push(error);
    }

    /// Ends the reading: the value when nothing was wrong, else all errors in the order of their places.
    pub(crate) fn conclude<T>(mut self, path: &Path, value: Option<T>) -> Result<T, RecipeErrors> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => {
                self.errors.sort_by_key(|error| (error.line, error.column));
                Err(RecipeErrors {
                    path: path.to_owned(),
                    errors: self.errors,
                })
            }
        }
    }
}
