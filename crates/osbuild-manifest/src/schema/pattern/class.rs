//! Sets of characters in Python's dialect.

use std::fmt::Write as _;

use super::translate::{Alphabet, Translator};

/// A set of characters.
#[derive(Clone, Debug, Default)]
pub(super) struct Class {
    is_negated: bool,
    ranges: Vec<(u32, u32)>,
    /// `\d`, `\w`, `\s`, each perhaps negated.
    kinds: Vec<(Kind, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Digit,
    Space,
    Word,
}

/// What a backslash and a letter stand for.
pub(super) enum Escape {
    Character(u32),
    Class(Class),
}

const ASCII_LAST: u32 = 0x7f;

impl Kind {
    fn ascii(self) -> &'static [(u32, u32)] {
        match self {
            Self::Digit => &[(0x30, 0x39)],
            Self::Space => &[(0x09, 0x0d), (0x1c, 0x20)],
            Self::Word => &[(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)],
        }
    }

    /// Python counts letters and all that is a number as word characters, but no combining marks, and the four
    /// information separators as white space.
    fn unicode(self) -> &'static str {
        match self {
            Self::Digit => r"\p{Nd}",
            Self::Space => r"\s\x{1c}-\x{1f}",
            Self::Word => r"\p{L}\p{N}_",
        }
    }
}

impl Class {
    pub(super) fn not_of(ranges: &[(u32, u32)]) -> Self {
        Self {
            is_negated: true,
            ranges: ranges.to_vec(),
            kinds: Vec::new(),
        }
    }

    pub(super) fn word() -> Self {
        Self::of(Kind::Word, false)
    }

    fn of(kind: Kind, is_negated: bool) -> Self {
        Self {
            is_negated: false,
            ranges: Vec::new(),
            kinds: vec![(kind, is_negated)],
        }
    }

    pub(super) fn written(&self, alphabet: Alphabet) -> String {
        match alphabet {
            Alphabet::Ascii => self.ascii(),
            Alphabet::Unicode => self.unicode(),
        }
    }

    fn unicode(&self) -> String {
        let mut inside = written_ranges(&self.ranges);
        for (kind, is_negated) in &self.kinds {
            let (open, close) = if *is_negated { ("[^", "]") } else { ("", "") };
            inside.extend([open, kind.unicode(), close]);
        }
        match (inside.is_empty(), self.is_negated) {
            (true, true) => r"(?s:.)".to_owned(),
            (true, false) => NOTHING.to_owned(),
            (false, true) => format!("[^{inside}]"),
            (false, false) => format!("[{inside}]"),
        }
    }

    fn ascii(&self) -> String {
        let has = |code: u32| {
            let in_kind =
                |(kind, is_negated): &(Kind, bool)| contains(kind.ascii(), code) != *is_negated;
            (contains(&self.ranges, code) || self.kinds.iter().any(in_kind)) != self.is_negated
        };
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for code in (0..=ASCII_LAST).filter(|&code| has(code)) {
            match ranges.last_mut() {
                Some((_, end)) if *end + 1 == code => *end = code,
                _ => ranges.push((code, code)),
            }
        }
        if ranges.is_empty() {
            NOTHING.to_owned()
        } else {
            format!("[{}]", written_ranges(&ranges))
        }
    }
}

/// Matches no character.
const NOTHING: &str = r"[^\x{0}-\x{10ffff}]";

fn contains(ranges: &[(u32, u32)], code: u32) -> bool {
    ranges
        .iter()
        .any(|(low, high)| (*low..=*high).contains(&code))
}

fn written_ranges(ranges: &[(u32, u32)]) -> String {
    ranges
        .iter()
        .fold(String::new(), |mut written, (low, high)| {
            write!(written, r"\x{{{low:x}}}-\x{{{high:x}}}")
                .expect("writing to a string never fails");
            written
        })
}

/// Reads a set; its opening bracket has been read.
pub(super) fn parse(pattern: &mut Translator) -> Result<Class, String> {
    let mut class = Class {
        is_negated: pattern.take_if('^'),
        ..Class::default()
    };
    let mut is_first = true;
    loop {
        let character = pattern.next().ok_or("a set does not end")?;
        if character == ']' && !is_first {
            return Ok(class);
        }
        is_first = false;
        let low = match member(pattern, character)? {
            Escape::Class(other) => {
                class.kinds.extend(other.kinds);
                continue;
            }
            Escape::Character(low) => low,
        };
        let high = range_end(pattern, low)?;
        class.ranges.push((low, high));
    }
}

/// After a character: reads `-` and the other end of a range, if that is what follows.
fn range_end(pattern: &mut Translator, low: u32) -> Result<u32, String> {
    if !pattern.take_if('-') {
        return Ok(low);
    }
    if pattern.peek() == Some(']') {
        pattern.step_back();
        return Ok(low);
    }
    let character = pattern.next().ok_or("a set does not end")?;
    match member(pattern, character)? {
        Escape::Character(high) if high >= low => Ok(high),
        _ => Err("a range in a set is the wrong way round".to_owned()),
    }
}

fn member(pattern: &mut Translator, character: char) -> Result<Escape, String> {
    if character != '\\' {
        return Ok(Escape::Character(u32::from(character)));
    }
    match pattern.next().ok_or("a set does not end")? {
        'b' => Ok(Escape::Character(0x08)),
        escaped => escape(pattern, escaped),
    }
}

/// Reads what a backslash and a character stand for, in a set or outside.
pub(super) fn escape(pattern: &mut Translator, character: char) -> Result<Escape, String> {
    Ok(match character {
        'd' => Escape::Class(Class::of(Kind::Digit, false)),
        'D' => Escape::Class(Class::of(Kind::Digit, true)),
        's' => Escape::Class(Class::of(Kind::Space, false)),
        'S' => Escape::Class(Class::of(Kind::Space, true)),
        'w' => Escape::Class(Class::of(Kind::Word, false)),
        'W' => Escape::Class(Class::of(Kind::Word, true)),
        'a' => Escape::Character(0x07),
        'f' => Escape::Character(0x0c),
        'n' => Escape::Character(0x0a),
        'r' => Escape::Character(0x0d),
        't' => Escape::Character(0x09),
        'v' => Escape::Character(0x0b),
        'x' => Escape::Character(pattern.hexadecimal(2)?),
        'u' => Escape::Character(pattern.hexadecimal(4)?),
        'U' => Escape::Character(pattern.hexadecimal(8)?),
        '0' => Escape::Character(pattern.octal()),
        letter if letter.is_ascii_alphanumeric() => {
            return Err(format!("`\\{letter}` is no escape"));
        }
        other => Escape::Character(u32::from(other)),
    })
}
