//! Value to text.

use std::fmt::Write as _;

use crate::value::{Object, Text, Value};

use super::float::push_finite;

/// The order in which members of a map are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyOrder {
    AsWritten,
    Sorted,
}

/// Writes one line with `", "` and `": "`, ASCII only.
pub(crate) fn to_string(value: &Value, order: KeyOrder) -> String {
    let mut output = String::new();
    push_value(&mut output, value, order);
    output
}

fn push_value(output: &mut String, value: &Value, order: KeyOrder) {
    match value {
        Value::Array(items) => {
            output.push('[');
            for (index, item) in items.iter().enumerate() {
                output.push_str(if index == 0 { "" } else { ", " });
                push_value(output, item, order);
            }
            output.push(']');
        }
        Value::Object(object) => {
            output.push('{');
            for (index, (key, value)) in members(object, order).into_iter().enumerate() {
                output.push_str(if index == 0 { "" } else { ", " });
                push_text(output, key);
                output.push_str(": ");
                push_value(output, value, order);
            }
            output.push('}');
        }
        scalar => push_scalar(output, scalar),
    }
}

fn members(object: &Object, order: KeyOrder) -> Vec<(&Text, &Value)> {
    let mut members: Vec<_> = object.iter().collect();
    if order == KeyOrder::Sorted {
        members.sort_by_key(|(key, _)| *key);
    }
    members
}

/// Writes one line for each item and member, keys as written.
pub(crate) fn to_indented_string(value: &Value, indent: usize) -> String {
    let mut output = String::new();
    push_indented(&mut output, value, indent, 0);
    output
}

fn push_indented(output: &mut String, value: &Value, indent: usize, level: usize) {
    let new_line = |output: &mut String, level: usize| {
        output.push('\n');
        output.extend(std::iter::repeat_n(' ', indent * level));
    };
    match value {
        Value::Array(items) if !items.is_empty() => {
            output.push('[');
            for (index, item) in items.iter().enumerate() {
                output.push_str(if index == 0 { "" } else { "," });
                new_line(output, level + 1);
                push_indented(output, item, indent, level + 1);
            }
            new_line(output, level);
            output.push(']');
        }
        Value::Object(object) if !object.is_empty() => {
            output.push('{');
            for (index, (key, value)) in object.iter().enumerate() {
                output.push_str(if index == 0 { "" } else { "," });
                new_line(output, level + 1);
                push_text(output, key);
                output.push_str(": ");
                push_indented(output, value, indent, level + 1);
            }
            new_line(output, level);
            output.push('}');
        }
        other => push_value(output, other, KeyOrder::AsWritten),
    }
}

fn push_scalar(output: &mut String, value: &Value) {
    match value {
        Value::Null => output.push_str("null"),
        Value::Bool(true) => output.push_str("true"),
        Value::Bool(false) => output.push_str("false"),
        Value::Int(integer) => output.push_str(&integer.to_string()),
        Value::Float(float) if float.is_nan() => output.push_str("NaN"),
        Value::Float(float) if float.is_infinite() => {
            output.push_str(if *float > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            });
        }
        Value::Float(float) => push_finite(output, *float),
        Value::String(text) => push_text(output, text),
        Value::Array(_) | Value::Object(_) => {
            unreachable!("lists and maps are written by the caller")
        }
    }
}

fn push_text(output: &mut String, text: &Text) {
    output.push('"');
    match text.as_str() {
        Some(text) if is_plain(text) => output.push_str(text),
        _ => text.code_points().for_each(|code| push_code(output, code)),
    }
    output.push('"');
}

fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
}

fn push_code(output: &mut String, code: u32) {
    match code {
        0x22 => output.push_str("\\\""),
        0x5c => output.push_str("\\\\"),
        0x08 => output.push_str("\\b"),
        0x0c => output.push_str("\\f"),
        0x0a => output.push_str("\\n"),
        0x0d => output.push_str("\\r"),
        0x09 => output.push_str("\\t"),
        0x20..=0x7e => output.push(char::from(code as u8)),
        0x1_0000.. => {
            let offset = code - 0x1_0000;
            push_escape(output, 0xd800 + (offset >> 10));
            push_escape(output, 0xdc00 + (offset & 0x3ff));
        }
        _ => push_escape(output, code),
    }
}

fn push_escape(output: &mut String, unit: u32) {
    write!(output, "\\u{unit:04x}").expect("writing to a string never fails");
}
