//! Strings as Python has them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A string that may hold lone surrogates, which Python accepts in `\uXXXX` escapes and writes out again.
///
/// Ordered by code point, as Python orders strings and JSON keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Content);

#[derive(Clone, PartialEq, Eq)]
enum Content {
    Unicode(String),
    /// UTF-8 but for surrogates, which are encoded as if they were characters (WTF-8); never valid UTF-8.
    Surrogates(Vec<u8>),
}

impl Text {
    /// Gives the string, if it has no lone surrogate.
    pub fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Content::Unicode(text) => Some(text),
            Content::Surrogates(_) => None,
        }
    }

    /// Gives the string with U+FFFD in place of lone surrogates.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        match &self.0 {
            Content::Unicode(text) => Cow::Borrowed(text),
            Content::Surrogates(_) => Cow::Owned(
                self.code_points()
                    .map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect(),
            ),
        }
    }

    /// Gives the code points, surrogates included.
    pub fn code_points(&self) -> impl Iterator<Item = u32> + '_ {
        CodePoints {
            bytes: self.as_bytes(),
        }
    }

    /// Tells the number of code points, which is what Python calls the length.
    pub fn length(&self) -> usize {
        // Continuation bytes look the same in UTF-8 and WTF-8.
        self.as_bytes()
            .iter()
            .filter(|&&byte| byte & 0xc0 != 0x80)
            .count()
    }

    /// Tells whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// Builds a string of code points; `None` if one is above U+10FFFF.
    pub fn from_code_points(codes: impl IntoIterator<Item = u32>) -> Option<Self> {
        let mut bytes = Vec::new();
        for code in codes {
            push_code_point(&mut bytes, code)?;
        }
        Some(Self::from_wtf8(bytes))
    }

    pub(crate) fn from_wtf8(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self(Content::Unicode(text)),
            Err(error) => Self(Content::Surrogates(error.into_bytes())),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Content::Unicode(text) => text.as_bytes(),
            Content::Surrogates(bytes) => bytes,
        }
    }
}

/// Appends a code point, surrogates as three bytes.
pub(crate) fn push_code_point(bytes: &mut Vec<u8>, code: u32) -> Option<()> {
    if let Some(character) = char::from_u32(code) {
        bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    } else if (0xd800..0xe000).contains(&code) {
        bytes.extend([
            0xe0 | (code >> 12) as u8,
            0x80 | (code >> 6 & 0x3f) as u8,
            0x80 | (code & 0x3f) as u8,
        ]);
    } else {
        return None;
    }
    Some(())
}

struct CodePoints<'a> {
    bytes: &'a [u8],
}

impl Iterator for CodePoints<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (&first, rest) = self.bytes.split_first()?;
        let (length, start) = match first {
            0..0x80 => (0, u32::from(first)),
            0x80..0xe0 => (1, u32::from(first & 0x1f)),
            0xe0..0xf0 => (2, u32::from(first & 0x0f)),
            0xf0.. => (3, u32::from(first & 0x07)),
        };
        let (continuation, rest) = rest.split_at(length);
        self.bytes = rest;
        Some(
            continuation
                .iter()
                .fold(start, |code, byte| code << 6 | u32::from(byte & 0x3f)),
        )
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Must agree with `str`, so that maps can be asked with one.
        match &self.0 {
            Content::Unicode(text) => text.as_str().hash(state),
            Content::Surrogates(bytes) => bytes.hash(state),
        }
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        // The byte order of UTF-8, and of WTF-8, is the order of code points.
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl indexmap::Equivalent<Text> for str {
    fn equivalent(&self, key: &Text) -> bool {
        self.as_bytes() == key.as_bytes()
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Content::Unicode(text.to_owned()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Content::Unicode(text))
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&Text> for Text {
    fn from(text: &Text) -> Self {
        text.clone()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_string_lossy())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.to_string_lossy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surrogates_are_kept_and_sort_by_code_point() {
        let lone = Text::from_code_points([0x61, 0xd800]).unwrap();
        assert_eq!(lone.as_str(), None);
        assert_eq!(lone.to_string_lossy(), "a\u{fffd}");
        assert_eq!(lone.length(), 2);
        assert_eq!(lone.code_points().collect::<Vec<_>>(), [0x61, 0xd800]);
        let mut order = [
            Text::from("a\u{1f600}"),
            Text::from("a\u{ffff}"),
            lone.clone(),
            Text::from("a"),
        ];
        order.sort();
        assert_eq!(
            order,
            [
                Text::from("a"),
                lone,
                Text::from("a\u{ffff}"),
                Text::from("a\u{1f600}")
            ]
        );
    }

    #[test]
    fn code_points_beyond_unicode_are_refused() {
        assert_eq!(Text::from_code_points([0x11_0000]), None);
    }
}
