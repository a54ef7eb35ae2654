//! Text from manifests, made fit for a terminal.
//!
//! Names of pipelines and stages can be any text, escape sequences included; a terminal that is given them raw can be
//! made to show something else than what happened.

use std::borrow::Cow;

/// Writes every control character as an escape, `\u{1b}`.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    escape(text, char::is_control)
}

/// Writes control characters as escapes, but for those that text of several lines is made of.
pub(crate) fn printable_lines(text: &str) -> Cow<'_, str> {
    escape(text, |character| {
        character.is_control() && !matches!(character, '\n' | '\t')
    })
}

fn escape(text: &str, is_hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_hidden(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_is_left() {
        assert_eq!(printable("grün 1"), "grün 1");
        assert_eq!(
            printable("a\x1b[2J\r\n\u{9b}b\x7f"),
            r"a\u{1b}[2J\u{d}\u{a}\u{9b}b\u{7f}"
        );
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(printable_lines("one\n\ttwo\x1b\n"), "one\n\ttwo\\u{1b}\n");
    }
}
