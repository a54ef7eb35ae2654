//! Values of a lock that must have a form; read so that an error has the place of the value.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

const HEX_DIGITS: usize = 64;
const SCHEMES: [&str; 3] = ["https://", "http://", "file:///"];

/// Reads a SHA-256 in hexadecimal.
pub(super) fn sha256<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_str(Checked {
        expected: "a SHA-256, 64 hexadecimal digits in lower case",
        is_right: is_sha256,
    })
}

/// Reads a SHA-256 in hexadecimal where there is one.
pub(super) fn optional_sha256<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    sha256(deserializer).map(Some)
}

/// Reads a SHA-256 in hexadecimal behind `sha256:`.
pub(super) fn prefixed_sha256<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    deserializer.deserialize_str(Checked {
        expected: "`sha256:` and 64 hexadecimal digits in lower case",
        is_right: |text| text.strip_prefix("sha256:").is_some_and(is_sha256),
    })
}

/// Reads a list of addresses, at least one.
pub(super) fn addresses<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    let list = Vec::<Address>::deserialize(deserializer)?;
    if list.is_empty() {
        return Err(D::Error::custom("a package has no address"));
    }
    Ok(list.into_iter().map(|Address(text)| text).collect())
}

/// Reads a time stamp that every file system and archive can hold: seconds since 1970, in 32 bits, so until 2106.
pub(super) fn epoch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let seconds = i64::deserialize(deserializer)?;
    if u32::try_from(seconds).is_err() {
        return Err(D::Error::custom(format_args!(
            "`source-epoch` is {seconds}, but must be between 0 and {}",
            u32::MAX
        )));
    }
    Ok(seconds)
}

struct Address(String);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserializer.deserialize_str(Checked {
            expected: "an address that begins with https://, http:// or file:///",
            is_right: is_address,
        })?;
        Ok(Self(text))
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == HEX_DIGITS
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_address(text: &str) -> bool {
    let rest = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && !text.contains(|letter: char| letter.is_whitespace() || letter.is_control())
}

/// Takes a text if it has the right form.
struct Checked {
    expected: &'static str,
    is_right: fn(&str) -> bool,
}

impl Visitor<'_> for Checked {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        if !(self.is_right)(text) {
            return Err(E::custom(format_args!("`{text}` is not {}", self.expected)));
        }
        Ok(text.to_owned())
    }
}
