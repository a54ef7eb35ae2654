//! How much a store may hold.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The limit of a store that was never given one.
pub const DEFAULT_MAXIMUM_SIZE: MaximumSize = MaximumSize::Bytes(20 * 1024 * 1024 * 1024);

/// Suffixes and what they multiply by; as upstream spells them, case matters.
const UNITS: [(&str, u64); 8] = [
    ("kB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

/// The most bytes that the objects of a store may take together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaximumSize {
    /// This many; 0 keeps nothing.
    Bytes(u64),
    /// As many as the disk has.
    Unlimited,
}

/// The text is no size.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not a size: write digits and one of kB, KiB, MB, MiB, GB, GiB, TB, TiB, or `unlimited`"
)]
pub struct ParseSizeError(String);

impl MaximumSize {
    /// Tells whether `bytes` are within the limit.
    pub fn allows(self, bytes: u64) -> bool {
        match self {
            Self::Bytes(maximum) => bytes <= maximum,
            Self::Unlimited => true,
        }
    }
}

impl FromStr for MaximumSize {
    type Err = ParseSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseSizeError(text.to_owned());
        if text == "unlimited" {
            return Ok(Self::Unlimited);
        }
        let trimmed = text.trim_start();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = trimmed.split_at(digits);
        let number: u64 = number.parse().map_err(|_| error())?;
        let factor = if unit.is_empty() {
            1
        } else {
            UNITS
                .iter()
                .find(|(name, _)| *name == unit.trim_start())
                .map(|(_, factor)| *factor)
                .ok_or_else(error)?
        };
        number
            .checked_mul(factor)
            .map(Self::Bytes)
            .ok_or_else(error)
    }
}

impl fmt::Display for MaximumSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(formatter, "{bytes} bytes"),
            Self::Unlimited => formatter.write_str("unlimited"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_upstream_reads_them() {
        for (text, bytes) in [
            ("0", 0),
            ("123", 123),
            ("10kB", 10_000),
            ("10 KiB", 10_240),
            (" 3 MB", 3_000_000),
            ("3MiB", 3 * 1024 * 1024),
            ("2GB", 2_000_000_000),
            ("2GiB", 2 << 30),
            ("1TB", 1_000_000_000_000),
            ("1TiB", 1 << 40),
        ] {
            assert_eq!(text.parse(), Ok(MaximumSize::Bytes(bytes)), "{text}");
        }
        assert_eq!("unlimited".parse(), Ok(MaximumSize::Unlimited));
    }

    #[test]
    fn anything_else_is_refused_with_its_text() {
        for text in [
            "",
            "kB",
            "1.5GiB",
            "10KB",
            "10kb",
            "10 G",
            "-1",
            "1GiB ",
            "7 ",
            "Unlimited",
            "99999999TiB",
        ] {
            let error = text.parse::<MaximumSize>().unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("`{text}`")),
                "{error}"
            );
        }
    }
}
