//! Compares Debian version numbers as dpkg does (deb-version(7)).

use std::cmp::Ordering;

/// Compares two version numbers.
///
/// Works on the text: an index has sixty thousand of them, and most are never compared.
pub fn compare(left: &str, right: &str) -> Ordering {
    if left == right {
        return Ordering::Equal;
    }
    let (left, right) = (Parts::of(left), Parts::of(right));
    compare_numbers(left.epoch, right.epoch)
        .then_with(|| compare_part(left.upstream, right.upstream))
        .then_with(|| compare_part(left.revision, right.revision))
}

/// A comparison in a dependency, such as `>=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`, and the obsolete `<`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`, and the obsolete `>`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Operator {
    /// Says whether `version` stands in this relation to `bound`.
    pub fn accepts(self, version: &str, bound: &str) -> bool {
        let order = compare(version, bound);
        match self {
            Self::Earlier => order.is_lt(),
            Self::EarlierOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::LaterOrEqual => order.is_ge(),
            Self::Later => order.is_gt(),
        }
    }

    /// The operator as it is written in a control file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        }
    }
}

struct Parts<'a> {
    epoch: &'a [u8],
    upstream: &'a [u8],
    revision: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(version: &'a str) -> Self {
        let (epoch, rest) = version.split_once(':').unwrap_or(("", version));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Self {
            epoch: epoch.as_bytes(),
            upstream: upstream.as_bytes(),
            revision: revision.as_bytes(),
        }
    }
}

/// Compares alternating runs of text and digits; a missing run equals an empty one.
fn compare_part(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        let (left_text, left_rest) = split_run(left, false);
        let (right_text, right_rest) = split_run(right, false);
        let (left_number, left_rest) = split_run(left_rest, true);
        let (right_number, right_rest) = split_run(right_rest, true);
        let order = compare_text(left_text, right_text)
            .then_with(|| compare_numbers(left_number, right_number));
        if order.is_ne() {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
    Ordering::Equal
}

fn split_run(text: &[u8], digits: bool) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|byte| byte.is_ascii_digit() != digits)
        .unwrap_or(text.len());
    text.split_at(end)
}

fn compare_text(left: &[u8], right: &[u8]) -> Ordering {
    let length = left.len().max(right.len());
    (0..length)
        .map(|at| weight(left.get(at).copied()).cmp(&weight(right.get(at).copied())))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Orders characters: `~` before the end of the text, letters before everything else.
fn weight(byte: Option<u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(byte),
        Some(byte) => i32::from(byte) + 256,
    }
}

fn compare_numbers(left: &[u8], right: &[u8]) -> Ordering {
    let (left, right) = (without_zeros(left), without_zeros(right));
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    let start = digits
        .iter()
        .position(|&byte| byte != b'0')
        .unwrap_or(digits.len());
    &digits[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERED: &[(&str, &str)] = &[
        ("1.0~rc1", "1.0"),
        ("1.0~~", "1.0~"),
        ("1.0~~a", "1.0~"),
        ("1.0", "1.0-1"),
        ("1.0-1", "1.0-1+b1"),
        ("1.0-1", "1.0-1.1"),
        ("1.0-1+dfsg", "1.0+b"),
        ("1.9", "1.10"),
        ("9:1", "10:0"),
        ("2.0", "1:0.1"),
        ("1a", "1+"),
        ("1.2.3", "1.2.3.1"),
        ("1-b", "1-a-1"),
        ("6.1.0-9", "6.1.0-10"),
        ("20230101", "20230101a"),
        ("1.0-0", "1.0-0.1"),
    ];

    #[test]
    fn orders_as_the_manual_says() {
        for (left, right) in ORDERED {
            assert_eq!(compare(left, right), Ordering::Less, "{left} < {right}");
            assert_eq!(compare(right, left), Ordering::Greater, "{right} > {left}");
        }
        for (left, right) in [
            ("1.0", "0:1.0"),
            ("1.0", "1.0-0"),
            ("1.01", "1.1"),
            ("1", "1-"),
        ] {
            assert_eq!(compare(left, right), Ordering::Equal, "{left} = {right}");
        }
    }

    #[test]
    fn dpkg_orders_the_same() {
        osbuild_testing::needs![tool("dpkg")];
        for (left, right) in ORDERED {
            let status = std::process::Command::new("dpkg")
                .args(["--compare-versions", left, "lt", right])
                .status()
                .unwrap();
            assert!(status.success(), "dpkg says {left} is not before {right}");
        }
    }

    #[test]
    fn operators_accept_their_side_of_the_bound() {
        let accepted =
            |operator: Operator| ["1", "2", "3"].map(|version| operator.accepts(version, "2"));
        assert_eq!(accepted(Operator::Earlier), [true, false, false]);
        assert_eq!(accepted(Operator::EarlierOrEqual), [true, true, false]);
        assert_eq!(accepted(Operator::Equal), [false, true, false]);
        assert_eq!(accepted(Operator::LaterOrEqual), [false, true, true]);
        assert_eq!(accepted(Operator::Later), [false, false, true]);
    }
}
