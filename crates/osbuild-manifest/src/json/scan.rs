//! The tokens of JSON text, without building values.

use crate::document::SyntaxError;
use crate::value::{Text, Value, push_code_point};

use super::MAXIMUM_DEPTH;

/// A stretch of text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Moves over JSON text.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    offset: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            offset: 0,
            depth: 0,
        }
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn move_to(&mut self, offset: usize) {
        self.offset = offset;
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.offset).copied()
    }

    pub(crate) fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.offset += 1;
        }
    }

    pub(crate) fn error<T>(&self, message: &str) -> Result<T, SyntaxError> {
        self.error_at(self.offset, message)
    }

    fn error_at<T>(&self, offset: usize, message: &str) -> Result<T, SyntaxError> {
        Err(SyntaxError::new(self.text, offset, message))
    }

    /// Steps into a list or map.
    pub(crate) fn enter(&mut self) -> Result<(), SyntaxError> {
        if self.depth == MAXIMUM_DEPTH {
            return self.error(&format!(
                "lists and maps are nested deeper than {MAXIMUM_DEPTH} levels"
            ));
        }
        self.depth += 1;
        self.offset += 1;
        Ok(())
    }

    /// Steps out of a list or map.
    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
        self.offset += 1;
    }

    /// After an opening bracket: tells whether there is a first item.
    pub(crate) fn has_first(&mut self, close: u8) -> bool {
        self.skip_space();
        self.peek() != Some(close)
    }

    /// After an item: moves over the comma and tells true, or stays at the closing bracket and tells false.
    pub(crate) fn has_next(&mut self, close: u8) -> Result<bool, SyntaxError> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                self.offset += 1;
                self.skip_space();
                if self.peek() == Some(close) {
                    return self.error("expected another item after the comma");
                }
                Ok(true)
            }
            Some(byte) if byte == close => Ok(false),
            _ => self.error(&format!("expected `,` or `{}`", char::from(close))),
        }
    }

    /// Reads a key and the colon after it.
    pub(crate) fn key(&mut self) -> Result<Text, SyntaxError> {
        self.skip_space();
        if self.peek() != Some(b'"') {
            return self.error("expected a key in double quotes");
        }
        let key = self.string()?;
        self.colon()?;
        Ok(key)
    }

    /// Moves over the colon after a key.
    pub(crate) fn colon(&mut self) -> Result<(), SyntaxError> {
        self.skip_space();
        if self.peek() != Some(b':') {
            return self.error("expected `:` after the key");
        }
        self.offset += 1;
        self.skip_space();
        Ok(())
    }

    /// Reads a string; the scanner stands at its opening quote.
    pub(crate) fn string(&mut self) -> Result<Text, SyntaxError> {
        let opening = self.offset;
        self.offset += 1;
        let start = self.offset;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    let content = &self.text[start..self.offset];
                    self.offset += 1;
                    return Ok(Text::from(content));
                }
                b'\\' => return self.string_with_escapes(opening, start),
                0..0x20 => return self.error("control characters in strings must be escaped"),
                _ => self.offset += 1,
            }
        }
        self.error_at(opening, "this string does not end")
    }

    fn string_with_escapes(&mut self, opening: usize, start: usize) -> Result<Text, SyntaxError> {
        let mut content = self.bytes[start..self.offset].to_vec();
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.offset += 1;
                    return Ok(Text::from_wtf8(content));
                }
                b'\\' => self.escape(&mut content)?,
                0..0x20 => return self.error("control characters in strings must be escaped"),
                _ => {
                    content.push(byte);
                    self.offset += 1;
                }
            }
        }
        self.error_at(opening, "this string does not end")
    }

    fn escape(&mut self, content: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let simple = match self.bytes.get(self.offset + 1) {
            Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let mut code = self.unicode_escape()?;
                if (0xd800..0xdc00).contains(&code) && self.bytes[self.offset..].starts_with(b"\\u")
                {
                    let before = self.offset;
                    let low = self.unicode_escape()?;
                    if (0xdc00..0xe000).contains(&low) {
                        code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                    } else {
                        self.offset = before;
                    }
                }
                push_code_point(content, code).expect("two joined surrogates are at most U+10FFFF");
                return Ok(());
            }
            _ => return self.error("unknown escape in a string"),
        };
        content.push(simple);
        self.offset += 2;
        Ok(())
    }

    fn unicode_escape(&mut self) -> Result<u32, SyntaxError> {
        let digits = self
            .bytes
            .get(self.offset + 2..self.offset + 6)
            .unwrap_or_default();
        if digits.len() < 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return self.error("`\\u` needs four hexadecimal digits");
        }
        self.offset += 6;
        Ok(digits.iter().fold(0, |code, &digit| {
            code << 4 | char::from(digit).to_digit(16).unwrap_or_default()
        }))
    }

    /// Reads anything but a string, list or map.
    pub(crate) fn scalar(&mut self) -> Result<Value, SyntaxError> {
        for (word, value) in [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("NaN", Value::Float(f64::NAN)),
            ("Infinity", Value::Float(f64::INFINITY)),
            ("-Infinity", Value::Float(f64::NEG_INFINITY)),
        ] {
            if self.bytes[self.offset..].starts_with(word.as_bytes()) {
                self.offset += word.len();
                return Ok(value);
            }
        }
        self.number()
    }

    fn number(&mut self) -> Result<Value, SyntaxError> {
        let start = self.offset;
        let mut end = start + usize::from(self.peek() == Some(b'-'));
        match self.bytes.get(end) {
            Some(b'0') => end += 1,
            Some(b'1'..=b'9') => end = self.after_digits(end),
            _ => return self.error("expected a value"),
        }
        let whole = end;
        if self.bytes.get(end) == Some(&b'.') && self.after_digits(end + 1) > end + 1 {
            end = self.after_digits(end + 1);
        }
        if matches!(self.bytes.get(end), Some(b'e' | b'E')) {
            let digits =
                end + 1 + usize::from(matches!(self.bytes.get(end + 1), Some(b'+' | b'-')));
            if self.after_digits(digits) > digits {
                end = self.after_digits(digits);
            }
        }
        self.offset = end;
        let number = &self.text[start..end];
        Ok(if end == whole {
            Value::Int(crate::value::Integer::from_json_digits(number))
        } else {
            Value::Float(number.parse().expect("a JSON number is a float"))
        })
    }

    fn after_digits(&self, start: usize) -> usize {
        start
            + self.bytes[start.min(self.bytes.len())..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count()
    }

    /// Moves over a value and tells where it is.
    pub(crate) fn skip_value(&mut self) -> Result<Span, SyntaxError> {
        let start = self.offset;
        match self.peek() {
            Some(b'"') => {
                self.string()?;
            }
            Some(b'[') => {
                self.enter()?;
                let mut more = self.has_first(b']');
                while more {
                    self.skip_value()?;
                    more = self.has_next(b']')?;
                }
                self.leave();
            }
            Some(b'{') => {
                self.enter()?;
                let mut more = self.has_first(b'}');
                while more {
                    self.key()?;
                    self.skip_value()?;
                    more = self.has_next(b'}')?;
                }
                self.leave();
            }
            _ => {
                self.scalar()?;
            }
        }
        Ok(Span {
            start,
            end: self.offset,
        })
    }
}
