//! Patterns as Python's `re.search` understands them.
//!
//! A pattern is translated into the dialect of fancy-regex when a text first meets it. There are two translations: texts
//! of ASCII alone, which is nearly all, get one whose classes hold ASCII alone, since a repeated class of all of
//! Unicode (`[\w.-]{1,250}`) takes tens of milliseconds and megabytes to compile.

mod class;
mod translate;

use std::sync::OnceLock;

use fancy_regex::{Regex, RegexBuilder};

use crate::value::Text;

use translate::Alphabet;

/// Python would try without end; schemas of the wild need far fewer steps.
const BACKTRACKING_STEPS: usize = 50_000_000;
/// Room for a compiled pattern: repeated Unicode classes are large.
const COMPILED_BYTES: usize = 256 * 1024 * 1024;

/// A pattern in Python's dialect.
#[derive(Debug)]
pub(super) struct Pattern {
    source: Text,
    ascii: OnceLock<Result<Regex, String>>,
    unicode: OnceLock<Result<Regex, String>>,
}

impl Pattern {
    pub(super) fn new(source: Text) -> Self {
        Self {
            source,
            ascii: OnceLock::new(),
            unicode: OnceLock::new(),
        }
    }

    pub(super) fn source(&self) -> &Text {
        &self.source
    }

    /// Tells whether the pattern is found anywhere in a text.
    pub(super) fn is_found_in(&self, text: &Text) -> Result<bool, String> {
        // A lone surrogate and U+FFFD are alike to every class but those that name one of them.
        let text = text.to_string_lossy();
        let (cell, alphabet) = if text.is_ascii() {
            (&self.ascii, Alphabet::Ascii)
        } else {
            (&self.unicode, Alphabet::Unicode)
        };
        let regex = cell
            .get_or_init(|| self.compile(alphabet))
            .as_ref()
            .map_err(Clone::clone)?;
        regex
            .is_match(text.as_ref())
            .map_err(|error| error.to_string())
    }

    fn compile(&self, alphabet: Alphabet) -> Result<Regex, String> {
        let source = self.source.as_str().ok_or("it holds a lone surrogate")?;
        let translated = translate::translate(source, alphabet)?;
        RegexBuilder::new(&translated)
            .backtrack_limit(BACKTRACKING_STEPS)
            .delegate_size_limit(COMPILED_BYTES)
            .build()
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern.into())
            .is_found_in(&text.into())
            .unwrap()
    }

    /// What Python 3.11 answers.
    #[test]
    fn search_as_in_python() {
        for (pattern, text, expected) in [
            ("b", "abc", true),
            ("^b", "abc", false),
            ("c$", "abc\n", true),
            ("c$", "abc\n\n", false),
            (r"c\Z", "abc\n", false),
            (r"c\Z", "abc", true),
            ("(?=^.{1,3}$)^a", "abc\n", true),
            ("a$\n", "a\n", true),
            ("a.c", "a\nc", false),
            ("(?s)a.c", "a\nc", true),
            ("(?i)ABC", "xabc", true),
            (r"^\w+$", "grün", true),
            (r"^\w+$", "u\u{308}", false),
            (r"^\d+$", "٣", true),
            (r"^\s$", "\u{1c}", true),
            (r"^\S$", "\u{1c}", false),
            (r"^[^\s]$", "\u{1c}", false),
            (r"^[\S]$", "\u{1c}", false),
            (r"^[\W]$", "\u{308}", true),
            (r"^[\w.-]{1,250}\.conf$", "a-b.conf", true),
            (r"^[\w.-]{1,250}\.conf$", "ä-b.conf", true),
            (r"^[\w.-]{1,250}\.conf$", "a/b.conf", false),
            ("^[a-zA-Z-._:]+$", "a-._:Z", true),
            ("^[a-zA-Z-._:]+$", "+", false),
            ("^[]a]+$", "]a", true),
            ("^[^]a]+$", "b", true),
            ("^[[a]+$", "[a", true),
            ("^[a&&b]+$", "&", true),
            ("^[a~~b]+$", "~", true),
            (r"^[\]\\-]+$", "]\\-", true),
            ("^a{,2}$", "aa", true),
            ("^a{,2}$", "aaa", false),
            ("^a{x}$", "a{x}", true),
            ("^{$", "{", true),
            ("^a{2}$", "aa", true),
            ("^a{1,2}?$", "aa", true),
            (r"\bfoo\b", "a foo.", true),
            (r"\bfoo\b", "afoo", false),
            (r"o\B", "foo", true),
            (r"^(?P<x>a|b)(?P=x)$", "aa", true),
            (r"^(a|b)\1$", "ab", false),
            (r"^\/(?!\.\.)((?!\/\.\.\/).)+$", "/etc/x", true),
            (r"^\/(?!\.\.)((?!\/\.\.\/).)+$", "/etc/../x", false),
            (r"^\/(?!\.\.)((?!\/\.\.\/).)+$", "/../x", false),
            (r"^\x41\u0042\103$", "ABC", true),
            (r"^\t\n\0$", "\t\n\0", true),
            ("^[^/]+$", "ä", true),
            ("^[^/]$", "\u{7f}", true),
            ("^.$", "😀", true),
            ("(?<=a)b", "ab", true),
            ("(?<!a)b", "ab", false),
            ("a(?#note)b", "ab", true),
            ("", "", true),
        ] {
            assert_eq!(found(pattern, text), expected, "{pattern:?} in {text:?}");
        }
    }

    #[test]
    fn lone_surrogates_are_characters() {
        let lone = Text::from_code_points([0xd800]).unwrap();
        for (pattern, expected) in [
            ("^.$", true),
            (r"^\w$", false),
            (r"^[^\w]$", true),
            ("^[^/]$", true),
            ("^$", false),
        ] {
            assert_eq!(
                Pattern::new(pattern.into()).is_found_in(&lone),
                Ok(expected),
                "{pattern}"
            );
        }
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for pattern in ["(", "[", "a**b(", "[b-a]", r"\q"] {
            assert!(
                Pattern::new(pattern.into())
                    .is_found_in(&"x".into())
                    .is_err(),
                "{pattern}"
            );
        }
    }
}
