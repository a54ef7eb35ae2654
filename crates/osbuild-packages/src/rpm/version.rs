//! Versions of RPM packages and their order (rpm's `rpmvercmp`, described in rpm-version(7)).

use std::cmp::Ordering;
use std::fmt;

/// Epoch, version and release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evr {
    /// Decides before the version; 0 where there is none.
    pub epoch: u64,
    /// The version.
    pub version: String,
    /// The release; dependencies often leave it out, which then matches any.
    pub release: Option<String>,
}

impl Evr {
    /// Reads `[EPOCH:]VERSION[-RELEASE]`; an epoch that is no number counts as 0, as in rpm.
    pub fn parse(text: &str) -> Self {
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
            None => (0, text),
        };
        let (version, release) = match rest.rsplit_once('-') {
            Some((version, release)) => (version, Some(release.to_owned())),
            None => (rest, None),
        };
        Self {
            epoch,
            version: version.to_owned(),
            release,
        }
    }

    /// Compares as rpm does for dependencies: a release that one of them leaves out does not matter.
    pub fn compare(&self, other: &Self) -> Ordering {
        let order = self
            .epoch
            .cmp(&other.epoch)
            .then_with(|| compare_parts(&self.version, &other.version));
        match (&self.release, &other.release) {
            (Some(release), Some(other)) => order.then_with(|| compare_parts(release, other)),
            _ => order,
        }
    }
}

impl fmt::Display for Evr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch != 0 {
            write!(formatter, "{}:", self.epoch)?;
        }
        formatter.write_str(&self.version)?;
        match &self.release {
            Some(release) => write!(formatter, "-{release}"),
            None => Ok(()),
        }
    }
}

/// Compares two versions or two releases.
pub fn compare_parts(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    loop {
        (one, other) = (from_segment(one), from_segment(other));
        let (rank, other_rank) = (rank(one.first()), rank(other.first()));
        match rank.cmp(&other_rank) {
            Ordering::Equal => {}
            order => return order,
        }
        match rank {
            Rank::End => return Ordering::Equal,
            Rank::Before | Rank::After => {
                (one, other) = (&one[1..], &other[1..]);
                continue;
            }
            Rank::Segment => {}
        }
        let is_number = one[0].is_ascii_digit();
        let (segment, rest) = split_segment(one, is_number);
        let (other_segment, other_rest) = split_segment(other, is_number);
        if other_segment.is_empty() {
            // Numbers are newer than letters.
            return if is_number {
                Ordering::Greater
            } else {
                Ordering::Less
            };
        }
        let order = if is_number {
            let (segment, other) = (without_zeros(segment), without_zeros(other_segment));
            segment.len().cmp(&other.len()).then(segment.cmp(other))
        } else {
            segment.cmp(other_segment)
        };
        if order.is_ne() {
            return order;
        }
        (one, other) = (rest, other_rest);
    }
}

/// What comes next in a version, in the order of versions that have it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// `~`: what follows comes before the version without it.
    Before,
    /// Nothing.
    End,
    /// `^`: what follows comes after the version without it, but before one with a further segment.
    After,
    /// A number or a word.
    Segment,
}

fn rank(byte: Option<&u8>) -> Rank {
    match byte {
        Some(b'~') => Rank::Before,
        None => Rank::End,
        Some(b'^') => Rank::After,
        Some(_) => Rank::Segment,
    }
}

/// Leaves out what only separates segments.
fn from_segment(text: &[u8]) -> &[u8] {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'~' | b'^');
    &text[text.iter().position(is_part).unwrap_or(text.len())..]
}

fn split_segment(text: &[u8], is_number: bool) -> (&[u8], &[u8]) {
    let is_part = |byte: &u8| {
        if is_number {
            byte.is_ascii_digit()
        } else {
            byte.is_ascii_alphabetic()
        }
    };
    text.split_at(text.iter().take_while(|byte| is_part(byte)).count())
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    &digits[digits.iter().take_while(|digit| **digit == b'0').count()..]
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const VERSIONS: [&str; 24] = [
        "1.0",
        "1.0.0",
        "1.00",
        "1",
        "1a",
        "1.a",
        "1a1",
        "2",
        "10",
        "0010",
        "1.0~rc1",
        "1.0~~",
        "1.0~",
        "1.0^",
        "1.0^git1",
        "1.0^~",
        "1.0.1",
        "a",
        "ab",
        "b",
        "1_0",
        "1..0",
        "1.0~rc1^x",
        "1.0+",
    ];

    #[test]
    fn versions_are_in_rpms_order() {
        osbuild_testing::needs![tool("rpm")];
        let list = VERSIONS.map(|version| format!("\"{version}\"")).join(",");
        let script = format!(
            "%{{lua: local v = {{{list}}}; for _, a in ipairs(v) do for _, b in ipairs(v) do \
             print(rpm.vercmp(a, b) .. \" \") end end}}"
        );
        let output = Command::new("rpm")
            .args(["--eval", &script])
            .output()
            .unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let orders: Vec<i8> = output
            .split_whitespace()
            .map(|number| number.parse().unwrap())
            .collect();
        assert_eq!(orders.len(), VERSIONS.len() * VERSIONS.len(), "{output}");
        let pairs = VERSIONS
            .iter()
            .flat_map(|one| VERSIONS.iter().map(move |other| (one, other)));
        for ((one, other), expected) in pairs.zip(orders) {
            assert_eq!(compare_parts(one, other) as i8, expected, "{one} {other}");
        }
    }

    #[test]
    fn a_release_that_is_left_out_matches_any() {
        for (one, other, expected) in [
            ("1:1-1", "2-1", Ordering::Greater),
            ("1-1", "1-2", Ordering::Less),
            ("1", "1-2", Ordering::Equal),
            ("0:1-2", "1-2", Ordering::Equal),
        ] {
            let order = Evr::parse(one).compare(&Evr::parse(other));
            assert_eq!(order, expected, "{one} {other}");
        }
        assert_eq!(Evr::parse("1:2-3").to_string(), "1:2-3");
    }
}
