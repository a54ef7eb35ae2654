//! TOML, as Python's `tomli_w` writes it.

use serde_json::{Map, Value};

use crate::shared::python_json;

/// Writes a table: values before tables, and an empty line before the header of each table but the first.
pub(crate) fn text(table: &Map<String, Value>) -> String {
    let mut text = String::new();
    write_table(&mut text, &[], table);
    text
}

fn write_table(text: &mut String, path: &[String], table: &Map<String, Value>) {
    let (tables, values): (Vec<_>, Vec<_>) = table.iter().partition(|(_, value)| value.is_object());
    // A table of tables alone needs no header.
    if !path.is_empty() && (!values.is_empty() || tables.is_empty()) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("[{}]\n", path.join(".")));
    }
    for (name, value) in values {
        text.push_str(&format!("{} = {}\n", key(name), value_text(value)));
    }
    for (name, value) in tables {
        let path = [path, &[key(name)]].concat();
        write_table(text, &path, value.as_object().unwrap_or(&Map::new()));
    }
}

/// Names of letters, digits, dashes and underscores need no quotes.
fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(is_bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) if items.is_empty() => "[]".to_owned(),
        Value::Array(items) => {
            let items = items.iter();
            let lines = items.map(|item| format!("    {},\n", value_text(item)));
            format!("[\n{}]", lines.collect::<String>())
        }
        value => python_json::text(value),
    }
}

/// Only what TOML wants escaped is.
fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\t".to_owned(),
        c if c.is_ascii_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_come_before_tables() {
        let table = json!({
            "a": {"b": {"c": {"type": "xfs"}}, "list": ["x", "y\"z"], "none": [], "is": true},
            "é f": {"n": 3}, "top": "t"
        });
        assert_eq!(
            text(table.as_object().unwrap()),
            "top = \"t\"\n\n[a]\nlist = [\n    \"x\",\n    \"y\\\"z\",\n]\nnone = []\nis = true\n\n\
             [a.b.c]\ntype = \"xfs\"\n\n[\"é f\"]\nn = 3\n"
        );
    }
}
