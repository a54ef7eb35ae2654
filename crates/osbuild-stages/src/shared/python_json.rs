//! JSON as Python's `json.dump` writes it.

use std::fmt::Write;

use serde_json::Value;

/// Returns a value on one line, in ASCII, with a space after commas and colons.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(text).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| format!("{}: {}", quoted(name), text(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        value => value.to_string(),
    }
}

fn quoted(value: &str) -> String {
    let quoted = Value::from(value).to_string();
    let mut ascii = String::with_capacity(quoted.len());
    for letter in quoted.chars() {
        // JSON leaves DEL alone, and so does Python.
        if letter.is_ascii() {
            ascii.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            write!(ascii, "\\u{unit:04x}").expect("writing to a string does not fail");
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn everything_is_ascii() {
        assert_eq!(
            text(&json!({"a": [1, true, null, 0.5], "é": "€\u{1f600}\u{7f}\n\"", "o": {}})),
            "{\"a\": [1, true, null, 0.5], \"\\u00e9\": \"\\u20ac\\ud83d\\ude00\u{7f}\\n\\\"\", \"o\": {}}"
        );
    }
}
