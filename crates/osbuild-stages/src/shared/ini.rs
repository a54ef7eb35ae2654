//! Files of sections and options, as Python's `configparser` writes them.

use std::fmt::Write;

use serde_json::{Map, Value};

/// A file of sections, each with its lines, in the order they were added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ini {
    text: String,
}

impl Ini {
    /// Adds a section of `name=value` lines.
    pub(crate) fn section<'a>(
        &mut self,
        name: &str,
        lines: impl IntoIterator<Item = (&'a str, String)>,
    ) {
        self.section_with("=", name, lines);
    }

    /// Adds a section of `name = value` lines.
    pub(crate) fn spaced_section<'a>(
        &mut self,
        name: &str,
        lines: impl IntoIterator<Item = (&'a str, String)>,
    ) {
        self.section_with(" = ", name, lines);
    }

    fn section_with<'a>(
        &mut self,
        separator: &str,
        name: &str,
        lines: impl IntoIterator<Item = (&'a str, String)>,
    ) {
        writeln!(self.text, "[{name}]").expect("writing to a string does not fail");
        for (option, value) in lines {
            // A value of several lines goes on where the lines are indented.
            let value = value.replace('\n', "\n\t");
            writeln!(self.text, "{option}{separator}{value}")
                .expect("writing to a string does not fail");
        }
        self.text.push('\n');
    }

    /// Adds every section of a configuration; a list becomes one line per item.
    pub(crate) fn sections(
        &mut self,
        config: &Map<String, Value>,
        item_text: fn(&str, &Value) -> String,
    ) {
        for (name, options) in config {
            let options = options.as_object().into_iter().flatten();
            let lines = options.flat_map(|(option, value)| match value {
                Value::Array(items) => {
                    unique(items.iter().map(|item| item_text(option, item)).collect())
                        .into_iter()
                        .map(|text| (option.as_str(), text))
                        .collect()
                }
                value => vec![(option.as_str(), python_str(value))],
            });
            self.section(name, lines);
        }
    }

    /// Returns the text of the file.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

/// The same line twice counts once, as in a table with the line for its key.
fn unique(texts: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    texts
        .into_iter()
        .filter(|text| seen.insert(text.clone()))
        .collect()
}

/// Shows a value as Python's `str()` does.
pub(crate) fn python_str(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// Shows a value as `NetworkManager`'s files want it: words for booleans, commas in lists.
pub(crate) fn network_manager_str(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Array(items) => items.iter().map(python_str).collect::<Vec<_>>().join(","),
        value => python_str(value),
    }
}

/// Shows a value of a unit file; variables of an `Environment` list are `"KEY=VALUE"` with the quotes.
pub(crate) fn unit_str(option: &str, value: &Value) -> String {
    match (option, value) {
        ("Environment", Value::Object(variable)) => {
            let part = |name: &str| variable.get(name).map(python_str).unwrap_or_default();
            format!("\"{}={}\"", part("key"), part("value"))
        }
        (_, value) => python_str(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_come_out_as_python_writes_them() {
        let config = json!({
            "Unit": {"Description": "two\nlines", "DefaultDependencies": false, "After": ["a", "b", "a"]},
            "Service": {"Environment": [{"key": "K", "value": "v"}], "Nice": 5},
            "Empty": {},
        });
        let mut ini = Ini::default();
        ini.sections(config.as_object().unwrap(), unit_str);
        assert_eq!(
            ini.into_text(),
            "[Unit]\nDescription=two\n\tlines\nDefaultDependencies=False\nAfter=a\nAfter=b\n\n\
             [Service]\nEnvironment=\"K=v\"\nNice=5\n\n[Empty]\n\n"
        );
    }

    #[test]
    fn network_manager_has_words_of_its_own() {
        assert_eq!(network_manager_str(&json!(["a", "b"])), "a,b");
        assert_eq!(network_manager_str(&json!(true)), "true");
        assert_eq!(network_manager_str(&json!(5)), "5");
    }
}
