//! Python's dialect of regular expressions to that of fancy-regex.

use std::fmt::Write as _;

use super::class::{self, Class};

/// The characters that a translation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alphabet {
    Ascii,
    Unicode,
}

/// Python's `$`: at the end, or before a newline there.
const END: &str = r"(?=\n?\z)";
/// The same where nothing follows, so that it may eat the newline; the regex crate then needs no help.
const LAST_END: &str = r"(?:\n?\z)";

/// Translates a pattern for texts of an alphabet.
pub(super) fn translate(pattern: &str, alphabet: Alphabet) -> Result<String, String> {
    let mut translator = Translator {
        characters: pattern.chars().collect(),
        index: 0,
        alphabet,
        output: String::new(),
        dot_all: false,
    };
    translator.leading_flags()?;
    while let Some(character) = translator.next() {
        translator.one(character)?;
    }
    Ok(translator.output)
}

pub(super) struct Translator {
    characters: Vec<char>,
    index: usize,
    alphabet: Alphabet,
    output: String,
    dot_all: bool,
}

impl Translator {
    pub(super) fn peek(&self) -> Option<char> {
        self.characters.get(self.index).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.index += 1;
        Some(character)
    }

    pub(super) fn take_if(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        self.index += usize::from(found);
        found
    }

    fn rest_starts_with(&self, text: &str) -> bool {
        text.chars()
            .enumerate()
            .all(|(offset, character)| self.characters.get(self.index + offset) == Some(&character))
    }

    /// Takes `(?i)`, `(?s)`, `(?u)` and their like from the beginning.
    fn leading_flags(&mut self) -> Result<(), String> {
        if !self.rest_starts_with("(?") {
            return Ok(());
        }
        let start = self.index + 2;
        let letters: String = self.characters[start..]
            .iter()
            .take_while(|letter| letter.is_ascii_alphabetic())
            .collect();
        if letters.is_empty()
            || letters.starts_with('P')
            || self.characters.get(start + letters.len()) != Some(&')')
        {
            return Ok(());
        }
        for letter in letters.chars() {
            match letter {
                'i' => {
                    self.output.push_str("(?i)");
                    // What a negated set leaves out depends on the case, which fancy-regex knows only if it negates.
                    self.alphabet = Alphabet::Unicode;
                }
                's' => self.dot_all = true,
                'u' => {}
                other => return Err(format!("the flag `{other}` is not supported")),
            }
        }
        self.index = start + letters.len() + 1;
        Ok(())
    }

    fn one(&mut self, character: char) -> Result<(), String> {
        match character {
            '\\' => self.escape(),
            '[' => {
                let class = class::parse(self)?;
                self.class(&class);
                Ok(())
            }
            '(' => self.group(),
            '{' => {
                self.brace();
                Ok(())
            }
            '.' => {
                let excluded: &[(u32, u32)] = if self.dot_all { &[] } else { &[(0x0a, 0x0a)] };
                self.class(&Class::not_of(excluded));
                Ok(())
            }
            '$' => {
                self.output
                    .push_str(if self.peek().is_none() { LAST_END } else { END });
                Ok(())
            }
            '^' => {
                self.output.push_str(r"\A");
                Ok(())
            }
            '|' | ')' | '*' | '+' | '?' => {
                self.output.push(character);
                Ok(())
            }
            literal => {
                self.literal(literal);
                Ok(())
            }
        }
    }

    fn literal(&mut self, character: char) {
        if character.is_alphanumeric() {
            self.output.push(character);
        } else {
            write!(self.output, r"\x{{{:x}}}", u32::from(character))
                .expect("writing to a string never fails");
        }
    }

    fn class(&mut self, class: &Class) {
        self.output.push_str(&class.written(self.alphabet));
    }

    fn group(&mut self) -> Result<(), String> {
        self.output.push('(');
        if !self.take_if('?') {
            return Ok(());
        }
        if self.take_if('#') {
            while self.next().ok_or("a comment does not end")? != ')' {}
            self.output.pop();
            return Ok(());
        }
        for opening in [":", "=", "!", "<=", "<!", ">"] {
            if self.rest_starts_with(opening) {
                self.index += opening.len();
                self.output.push('?');
                self.output.push_str(opening);
                return Ok(());
            }
        }
        self.named_group()
    }

    fn named_group(&mut self) -> Result<(), String> {
        let (opening, closing) = if self.rest_starts_with("P<") {
            ("P<", '>')
        } else if self.rest_starts_with("P=") {
            ("P=", ')')
        } else {
            return Err("this kind of group is not supported".to_owned());
        };
        self.index += opening.len();
        self.output.push('?');
        self.output.push_str(opening);
        loop {
            let character = self.next().ok_or("the name of a group does not end")?;
            self.output.push(character);
            if character == closing {
                return Ok(());
            }
        }
    }

    /// A brace that begins no repetition stands for itself.
    fn brace(&mut self) {
        let end = self.characters[self.index..]
            .iter()
            .position(|&character| character == '}');
        let inside: Option<String> = end.map(|end| {
            self.characters[self.index..self.index + end]
                .iter()
                .collect()
        });
        let repetition = inside.as_deref().and_then(repetition);
        match (repetition, end) {
            (Some(repetition), Some(end)) => {
                self.output.push_str(&repetition);
                self.index += end + 1;
            }
            _ => self.literal('{'),
        }
    }

    fn escape(&mut self) -> Result<(), String> {
        let character = self.next().ok_or("a backslash ends the pattern")?;
        match character {
            'A' => self.output.push_str(r"\A"),
            'Z' => self.output.push_str(r"\z"),
            'b' => self.boundary(true),
            'B' => self.boundary(false),
            '1'..='9' => self.number_escape(character)?,
            _ => match class::escape(self, character)? {
                class::Escape::Class(class) => self.class(&class),
                class::Escape::Character(code) => {
                    let literal = char::from_u32(code).ok_or("it holds a lone surrogate")?;
                    self.literal(literal);
                }
            },
        }
        Ok(())
    }

    /// Between a word character and another one, or not; what is a word character differs between the two dialects.
    fn boundary(&mut self, wanted: bool) {
        let word = Class::word().written(self.alphabet);
        let parts = if wanted {
            [
                "(?:(?<=", &word, ")(?!", &word, ")|(?<!", &word, ")(?=", &word, "))",
            ]
        } else {
            // In an empty text there is no place between characters (CPython before 3.14).
            [
                "(?:(?<=",
                &word,
                ")(?=",
                &word,
                ")|(?<!",
                &word,
                ")(?!",
                &word,
                r")(?!\A\z))",
            ]
        };
        self.output.extend(parts);
    }

    /// A group's number, or three octal digits.
    fn number_escape(&mut self, first: char) -> Result<(), String> {
        let mut digits = String::from(first);
        if let Some(second) = self.peek().filter(char::is_ascii_digit) {
            digits.push(second);
            self.index += 1;
            let third = self.peek().filter(|third| matches!(third, '0'..='7'));
            if let Some(third) =
                third.filter(|_| digits.chars().all(|digit| matches!(digit, '0'..='7')))
            {
                self.index += 1;
                digits.push(third);
                let code = u32::from_str_radix(&digits, 8).map_err(|error| error.to_string())?;
                let literal = char::from_u32(code)
                    .filter(|_| code < 0x100)
                    .ok_or("an octal escape is too large")?;
                self.literal(literal);
                return Ok(());
            }
        }
        // In parentheses, so that digits after it do not become part of the number.
        self.output.extend([r"(?:\", &digits, ")"]);
        Ok(())
    }

    pub(super) fn step_back(&mut self) {
        self.index -= 1;
    }

    /// Reads up to two octal digits after `\0`.
    pub(super) fn octal(&mut self) -> u32 {
        let mut code = 0;
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|digit| digit.to_digit(8)) else {
                break;
            };
            code = code * 8 + digit;
            self.index += 1;
        }
        code
    }

    pub(super) fn hexadecimal(&mut self, length: usize) -> Result<u32, String> {
        let digits: String = self.characters[self.index..].iter().take(length).collect();
        if digits.chars().count() < length || !digits.chars().all(|digit| digit.is_ascii_hexdigit())
        {
            return Err("an escape has too few hexadecimal digits".to_owned());
        }
        self.index += length;
        u32::from_str_radix(&digits, 16).map_err(|error| error.to_string())
    }
}

/// Reads what is between braces: `3`, `3,`, `,5` and `3,5` are repetitions.
fn repetition(inside: &str) -> Option<String> {
    let is_number = |text: &str| text.chars().all(|digit| digit.is_ascii_digit());
    match inside.split_once(',') {
        None => (!inside.is_empty() && is_number(inside)).then(|| format!("{{{inside}}}")),
        Some((low, high)) => (is_number(low) && is_number(high)).then(|| {
            let low = if low.is_empty() { "0" } else { low };
            format!("{{{low},{high}}}")
        }),
    }
}
