//! Sizes as people write them: `512 MiB`.

use std::fmt;

/// Units a size may be written in, largest first.
const UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// More than this no ext4 holds, be it in the image or the one that the image is made on.
    const MAXIMUM: Self = Self(16 << 40);

    /// One mebibyte, on which partitions are aligned.
    pub const MEBIBYTE: Self = Self(1 << 20);

    /// A size of whole mebibytes.
    pub const fn mebibytes(count: u64) -> Self {
        Self(count << 20)
    }

    /// The number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// Reads a number and a binary unit; the error is the advice to give.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let split = text
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .unwrap_or(text.len());
        let (number, unit) = (&text[..split], text[split..].trim());
        let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(unit_advice(number, unit));
        };
        let size = scale(number, *factor)
            .map(Self)
            .ok_or_else(|| "write a number and a unit, like `512 MiB` or `1.5 GiB`".to_owned())?;
        if size > Self::MAXIMUM {
            return Err(format!("the most that can be is {}", Self::MAXIMUM));
        }
        Ok(size)
    }
}

/// Multiplies a decimal number exactly; `None` when it is not one, is not whole in bytes, or does not fit.
fn scale(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || number.ends_with('.') {
        return None;
    }
    let denominator = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let scaled = digits.checked_mul(u128::from(factor))?;
    if scaled % denominator != 0 {
        return None;
    }
    u64::try_from(scaled / denominator).ok()
}

fn unit_advice(number: &str, unit: &str) -> String {
    let letter = unit.chars().next().map(|first| first.to_ascii_uppercase());
    let better = UNITS
        .iter()
        .find(|(name, _)| name.chars().next() == letter && !number.is_empty());
    match better {
        Some((name, _)) => format!("did you mean `{number} {name}`?"),
        None => "write a number and a unit, like `512 MiB` or `1.5 GiB`".to_owned(),
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, factor) = UNITS
            .iter()
            .find(|(_, factor)| self.0.is_multiple_of(*factor) && self.0 >= *factor)
            .unwrap_or(&UNITS[4]);
        write!(formatter, "{} {name}", self.0 / factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_exactly() {
        for (text, bytes) in [
            ("512 MiB", 512 << 20),
            ("512MiB", 512 << 20),
            ("1.5 GiB", 3 << 29),
            ("2 TiB", 2 << 40),
            ("4096 B", 4096),
            ("0.5 KiB", 512),
        ] {
            assert_eq!(Size::parse(text), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_gets_advice() {
        for (text, advice) in [
            ("512 MB", "did you mean `512 MiB`?"),
            ("5G", "did you mean `5 GiB`?"),
            (
                "big",
                "write a number and a unit, like `512 MiB` or `1.5 GiB`",
            ),
            (
                "0.3 B",
                "write a number and a unit, like `512 MiB` or `1.5 GiB`",
            ),
            (
                "99999999999 TiB",
                "write a number and a unit, like `512 MiB` or `1.5 GiB`",
            ),
            ("16777215 TiB", "the most that can be is 16 TiB"),
            (
                "5",
                "write a number and a unit, like `512 MiB` or `1.5 GiB`",
            ),
        ] {
            assert_eq!(Size::parse(text), Err(advice.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_size_is_written_in_its_largest_whole_unit() {
        for text in ["512 MiB", "3 GiB", "1 KiB", "1025 B", "0 B"] {
            assert_eq!(Size::parse(text).unwrap().to_string(), text);
        }
    }
}
