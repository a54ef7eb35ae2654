//! Values as Python's `repr` shows them: the words of validation errors are made of these.

use std::fmt::Write as _;

use crate::value::{Text, Value};

use super::float::push_finite;

/// Shows a value as Python does.
pub fn repr(value: &Value) -> String {
    let mut output = String::new();
    push_value(&mut output, value);
    output
}

/// Shows a string as Python does: in single quotes, or double ones if that saves escapes.
pub fn repr_text(text: &Text) -> String {
    let mut output = String::new();
    push_text(&mut output, text);
    output
}

fn push_value(output: &mut String, value: &Value) {
    match value {
        Value::Null => output.push_str("None"),
        Value::Bool(true) => output.push_str("True"),
        Value::Bool(false) => output.push_str("False"),
        Value::Int(integer) => output.push_str(&integer.to_string()),
        Value::Float(float) if float.is_nan() => output.push_str("nan"),
        Value::Float(float) if float.is_infinite() => {
            output.push_str(if *float > 0.0 { "inf" } else { "-inf" });
        }
        Value::Float(float) => push_finite(output, *float),
        Value::String(text) => push_text(output, text),
        Value::Array(items) => {
            output.push('[');
            for (index, item) in items.iter().enumerate() {
                output.push_str(if index == 0 { "" } else { ", " });
                push_value(output, item);
            }
            output.push(']');
        }
        Value::Object(object) => {
            output.push('{');
            for (index, (key, value)) in object.iter().enumerate() {
                output.push_str(if index == 0 { "" } else { ", " });
                push_text(output, key);
                output.push_str(": ");
                push_value(output, value);
            }
            output.push('}');
        }
    }
}

fn push_text(output: &mut String, text: &Text) {
    let has = |wanted: char| text.code_points().any(|code| code == u32::from(wanted));
    let quote = if has('\'') && !has('"') { '"' } else { '\'' };
    output.push(quote);
    for code in text.code_points() {
        match char::from_u32(code) {
            Some('\\') => output.push_str("\\\\"),
            Some('\n') => output.push_str("\\n"),
            Some('\r') => output.push_str("\\r"),
            Some('\t') => output.push_str("\\t"),
            Some(character) if character == quote => output.extend(['\\', quote]),
            Some(character) if is_printable(character) => output.push(character),
            _ => push_escape(output, code),
        }
    }
    output.push(quote);
}

/// Tells whether Python shows a character as it is: all but those of the Unicode categories "other" and "separator",
/// of which only the space is shown.
fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return matches!(character, ' '..='~');
    }
    // The standard library knows the same categories, and escapes what is in them. It escapes combining marks as well,
    // but only at the start of a string.
    let mut string = String::from("a");
    string.push(character);
    string.escape_debug().nth(2).is_none()
}

fn push_escape(output: &mut String, code: u32) {
    match code {
        0..0x100 => write!(output, "\\x{code:02x}"),
        0x100..0x1_0000 => write!(output, "\\u{code:04x}"),
        _ => write!(output, "\\U{code:08x}"),
    }
    .expect("writing to a string never fails");
}
