//! Metadata of modules that have no `meta.json`: upstream's assemblers keep theirs in the Python source.
//!
//! Upstream reads the syntax tree of the file. What its own modules need is less: at the start of a line `SCHEMA = """`
//! or `SCHEMA_2 = """` up to the closing quotes, holding the inside of a JSON object, and a list of strings in
//! `CAPABILITIES`; the first paragraph of the file's own documentation says what it does.

use crate::document::SyntaxError;
use crate::module::{Compiled, ModuleInfo, ModuleKind};
use crate::module_metadata::MetadataError;
use crate::value::Value;

impl ModuleInfo {
    /// Reads the metadata in the source text of a Python module.
    pub fn from_python_source(
        kind: ModuleKind,
        name: &str,
        source: &str,
    ) -> Result<Self, MetadataError> {
        let documentation = documentation(source).trim();
        let (summary, description) = documentation
            .split_once('\n')
            .unwrap_or((documentation, ""));
        Ok(Self {
            name: name.to_owned(),
            kind,
            schema: schema(source, "SCHEMA")?,
            schema_2: schema(source, "SCHEMA_2")?,
            capabilities: capabilities(source)?,
            summary: summary.trim().to_owned(),
            description: description.trim().to_owned(),
            compiled: Compiled::default(),
        })
    }
}

/// Gives what follows `NAME = ` at the start of a line, and the line's number from 0.
fn assigned<'a>(source: &'a str, name: &str) -> Option<(&'a str, usize)> {
    let mut offset = 0;
    for (number, line) in source.split_inclusive('\n').enumerate() {
        let value = line
            .strip_prefix(name)
            .and_then(|rest| rest.trim_start().strip_prefix('='));
        if let Some(value) = value.filter(|value| !value.starts_with('=')) {
            let start = offset + line.len() - value.trim_start_matches(' ').len();
            return Some((&source[start..], number));
        }
        offset += line.len();
    }
    None
}

/// Gives the inside of a string constant at the start of a text.
fn string_constant(text: &str) -> Option<&str> {
    let text = text.strip_prefix(['r', 'R']).unwrap_or(text);
    [r#"""""#, "'''", "\"", "'"]
        .into_iter()
        .find_map(|quotes| text.strip_prefix(quotes)?.split_once(quotes))
        .map(|(inside, _)| inside)
}

fn schema(source: &str, name: &str) -> Result<Option<Value>, MetadataError> {
    let Some((value, line)) = assigned(source, name) else {
        return Ok(None);
    };
    let Some(inside) = string_constant(value) else {
        return Ok(None);
    };
    let in_file = |error: SyntaxError| {
        MetadataError::Syntax(SyntaxError {
            line: error.line + line,
            ..error
        })
    };
    Value::from_json(&format!("{{{inside}}}"))
        .map(Some)
        .map_err(in_file)
}

fn capabilities(source: &str) -> Result<Vec<String>, MetadataError> {
    let Some((value, _)) = assigned(source, "CAPABILITIES") else {
        return Ok(Vec::new());
    };
    let inside = value
        .strip_prefix(['[', '{', '('])
        .and_then(|rest| rest.split_once([']', '}', ')']))
        .map(|(inside, _)| inside);
    let Some(inside) = inside else {
        return Err(MetadataError::Shape(
            "`CAPABILITIES` is not a list of strings".to_owned(),
        ));
    };
    let items = inside
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    items
        .map(|item| string_constant(item).map(str::to_owned))
        .collect::<Option<_>>()
        .ok_or_else(|| MetadataError::Shape("`CAPABILITIES` is not a list of strings".to_owned()))
}

fn documentation(source: &str) -> &str {
    let is_code = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    let before: usize = source
        .split_inclusive('\n')
        .take_while(|line| !is_code(line))
        .map(str::len)
        .sum();
    string_constant(&source[before..]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &str = r#"#!/usr/bin/python3
"""
Pack the tree

At length.
"""
import os

SCHEMA = """
"additionalProperties": false,
"properties": {"filename": {"type": "string"}}
"""

CAPABILITIES = ["CAP_MAC_ADMIN", 'CAP_X']
"#;

    #[test]
    fn metadata_is_read_from_python() {
        let module = ModuleInfo::from_python_source(ModuleKind::Assembler, "x", MODULE).unwrap();
        assert_eq!(
            module.schema.unwrap().to_python_json(),
            r#"{"additionalProperties": false, "properties": {"filename": {"type": "string"}}}"#
        );
        assert_eq!(module.schema_2, None);
        assert_eq!(module.capabilities, ["CAP_MAC_ADMIN", "CAP_X"]);
        assert_eq!(
            (module.summary.as_str(), module.description.as_str()),
            ("Pack the tree", "At length.")
        );
    }

    #[test]
    fn errors_name_the_line_of_the_file() {
        let source = "X = 1\nSCHEMA_2 = '''\n\"a\": ,\n'''\n";
        let error = ModuleInfo::from_python_source(ModuleKind::Assembler, "x", source).unwrap_err();
        assert_eq!(
            error.to_string(),
            "not valid JSON: line 3, column 6: expected a value"
        );
    }
}
