//! YAML as Python's `yaml.dump(value, default_flow_style=False)` writes it: sorted, in blocks, folded at column 80.

use serde_json::{Map, Value};

/// Text goes on in the next line once a word ends past this column.
const WIDTH: usize = 80;
const INDENT: usize = 2;

/// Returns a map; lists under these names are written in a single line.
pub(crate) fn dump(map: &Map<String, Value>, in_one_line: &[&str]) -> String {
    let mut text = String::new();
    push_map(&mut text, map, 0, in_one_line);
    text
}

fn push_map(text: &mut String, map: &Map<String, Value>, indent: usize, in_one_line: &[&str]) {
    let mut members: Vec<_> = map.iter().collect();
    members.sort_by_key(|(name, _)| *name);
    for (name, value) in members {
        text.push_str(&" ".repeat(indent));
        text.push_str(&scalar(name, usize::MAX, 0));
        text.push(':');
        match value {
            Value::Object(map) if !map.is_empty() => {
                text.push('\n');
                push_map(text, map, indent + INDENT, in_one_line);
            }
            Value::Array(items) if in_one_line.contains(&name.as_str()) => {
                let items: Vec<_> = items.iter().map(|item| node(item, usize::MAX, 0)).collect();
                text.push_str(&format!(" [{}]\n", items.join(", ")));
            }
            Value::Array(items) if !items.is_empty() => {
                text.push('\n');
                for item in items {
                    let item = node(item, indent + INDENT, indent + INDENT);
                    text.push_str(&format!("{}- {item}\n", " ".repeat(indent)));
                }
            }
            value => {
                let column = indent + name.chars().count() + 1;
                text.push_str(&format!(" {}\n", node(value, column + 1, indent + INDENT)));
            }
        }
    }
}

/// A value that needs no lines of its own.
fn node(value: &Value, column: usize, indent: usize) -> String {
    match value {
        Value::String(text) => scalar(text, column, indent),
        Value::Array(_) => "[]".to_owned(),
        Value::Object(_) => "{}".to_owned(),
        value => value.to_string(),
    }
}

/// A text: bare if it can not be taken for something else, in single quotes if it can, in double quotes if it has
/// characters that need them.
fn scalar(text: &str, column: usize, indent: usize) -> String {
    let needs_escapes = |c: char| !(' '..='~').contains(&c);
    if text.chars().any(needs_escapes) {
        return escaped(text);
    }
    if is_plain(text) {
        return folded(text, column, indent);
    }
    format!(
        "'{}'",
        folded(&text.replace('\'', "''"), column.saturating_add(1), indent)
    )
}

/// Breaks a line at single spaces; `usize::MAX` for a column means that it stays one line.
fn folded(text: &str, column: usize, indent: usize) -> String {
    if column == usize::MAX {
        return text.to_owned();
    }
    let (mut result, mut column) = (String::new(), column);
    let letters: Vec<char> = text.chars().collect();
    for (index, &letter) in letters.iter().enumerate() {
        let is_single = letter == ' '
            && index > 0
            && letters[index - 1] != ' '
            && letters.get(index + 1).is_some_and(|next| *next != ' ');
        if is_single && column > WIDTH {
            result.push('\n');
            result.push_str(&" ".repeat(indent));
            column = indent;
        } else {
            result.push(letter);
            column += 1;
        }
    }
    result
}

fn escaped(text: &str) -> String {
    let mut result = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' => result.push_str("\\\""),
            '\\' => result.push_str("\\\\"),
            '\n' => result.push_str("\\n"),
            '\t' => result.push_str("\\t"),
            '\r' => result.push_str("\\r"),
            ' '..='~' => result.push(letter),
            letter if u32::from(letter) < 0x100 => {
                result.push_str(&format!("\\x{:02X}", u32::from(letter)));
            }
            letter if u32::from(letter) < 0x1_0000 => {
                result.push_str(&format!("\\u{:04X}", u32::from(letter)));
            }
            letter => result.push_str(&format!("\\U{:08X}", u32::from(letter))),
        }
    }
    result.push('"');
    result
}

/// Tells whether a text of printable ASCII means itself without quotes.
fn is_plain(text: &str) -> bool {
    const SPECIAL: &str = "#,[]{}&*!|>'\"%@`";
    let starts_special = text.starts_with(|first| SPECIAL.contains(first));
    let starts_an_item = matches!(text, "-" | "?" | ":")
        || ["- ", "? ", ": "].iter().any(|item| text.starts_with(item));
    let has_mark = text.contains(": ") || text.ends_with(':') || text.contains(" #");
    let is_spaced = text.starts_with(' ') || text.ends_with(' ');
    let is_document = text.starts_with("---") || text.starts_with("...");
    let is_odd = starts_special || starts_an_item || has_mark || is_spaced || is_document;
    !text.is_empty() && !is_odd && !means_something(text)
}

/// Tells whether YAML 1.1 reads a bare text as something else than a text.
fn means_something(text: &str) -> bool {
    const WORDS: [&str; 9] = [
        "yes", "no", "true", "false", "on", "off", "null", ".inf", ".nan",
    ];
    let lower = text.to_ascii_lowercase();
    // Only all-lower, Capital and ALL-UPPER spellings count.
    let is_usual =
        text == lower || text == text.to_ascii_uppercase() || text.get(1..) == lower.get(1..);
    let is_word = WORDS.contains(&lower.as_str()) && is_usual;
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    // A date, or a date and a time.
    let is_time = text.len() >= 8
        && text.bytes().take(4).all(|byte| byte.is_ascii_digit())
        && text.as_bytes()[4] == b'-';
    is_word || is_time || matches!(text, "~" | "<<" | "=") || is_integer(number) || is_float(number)
}

fn is_integer(text: &str) -> bool {
    let is_all = |text: &str, digits: &str| {
        !text.is_empty() && text.chars().all(|c| digits.contains(c) || c == '_')
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return is_all(digits, "0123456789abcdefABCDEF");
    }
    if let Some(digits) = text.strip_prefix("0b") {
        return is_all(digits, "01");
    }
    if let Some(digits) = text.strip_prefix('0') {
        return digits.is_empty() || is_all(digits, "01234567");
    }
    // With colons it counts by sixty.
    !text.starts_with('_') && text.split(':').all(|part| is_all(part, "0123456789"))
}

fn is_float(text: &str) -> bool {
    let Some((whole, rest)) = text.split_once('.') else {
        return false;
    };
    let is_digits = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '_');
    let (fraction, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "+0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or("x");
    is_digits(whole)
        && !whole.starts_with('_')
        && is_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && !exponent.is_empty()
        && is_digits(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn maps_are_sorted_and_texts_quoted_as_needed() {
        let map = json!({
            "b": {"z": true, "a": {}, "list": ["x", "- y"]}, "a": "| tee -a /var/log/x",
            "one": ["Azure", "None"], "empty": "", "word": "yes", "number": "12", "colon": "a: b", "quote": "it's",
            "accent": "é\n", "none": null,
        });
        assert_eq!(
            dump(map.as_object().unwrap(), &["one"]),
            "a: '| tee -a /var/log/x'\naccent: \"\\xE9\\n\"\nb:\n  a: {}\n  list:\n  - x\n  - '- y'\n  z: true\n\
             colon: 'a: b'\nempty: ''\nnone: null\nnumber: '12'\none: [Azure, None]\nquote: it's\nword: 'yes'\n"
        );
    }

    #[test]
    fn what_looks_like_something_else_is_quoted() {
        for text in [
            "2020-01-01",
            "0x1f",
            "[x",
            "1.5",
            "1:30",
            "017",
            "- x",
            "a #b",
            "~",
            "NULL",
            "-1.e+5",
        ] {
            assert_eq!(scalar(text, 0, 0), format!("'{text}'"));
        }
        for text in [
            "None", "1.5.2", "v? x", "a,b", "?x", ":x", "-x", "abc", "08", "a#b", "yEs", "..",
            "1e5",
        ] {
            assert_eq!(scalar(text, 0, 0), text);
        }
    }

    #[test]
    fn long_texts_are_folded() {
        let map = json!({"a": format!("{}end", "word ".repeat(18))});
        let text = dump(map.as_object().unwrap(), &[]);
        assert_eq!(
            text,
            format!("a: {}word\n  word word end\n", "word ".repeat(15))
        );
    }
}
