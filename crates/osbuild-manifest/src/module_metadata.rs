//! Module metadata: from the text of a `meta.json`, or of an old Python module, to [`ModuleInfo`].

use std::fmt;

use crate::document::SyntaxError;
use crate::manifest::Version;
use crate::module::{Compiled, ModuleInfo, ModuleKind};
use crate::schema::SchemaError;
use crate::value::{Object, Text, Value};

/// Why metadata can not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataError {
    /// It is not JSON. Upstream ends the program on that.
    Syntax(SyntaxError),
    /// It is JSON of another shape: what is wrong. Upstream warns and goes on as if the module were absent.
    Shape(String),
}

impl fmt::Display for MetadataError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => write!(formatter, "not valid JSON: {error}"),
            Self::Shape(problem) => formatter.write_str(problem),
        }
    }
}

impl std::error::Error for MetadataError {}

impl ModuleInfo {
    /// Reads the text of a `meta.json`.
    pub fn from_meta_json(kind: ModuleKind, name: &str, text: &str) -> Result<Self, MetadataError> {
        let value = Value::from_json(text).map_err(MetadataError::Syntax)?;
        let Value::Object(mut meta) = value else {
            return Err(MetadataError::Shape(format!(
                "{} is not of type 'object'",
                value.to_python_repr()
            )));
        };
        check_shape(&meta).map_err(MetadataError::Shape)?;
        Ok(Self {
            name: name.to_owned(),
            kind,
            schema: meta.remove("schema"),
            schema_2: meta.remove("schema_2"),
            capabilities: meta.get("capabilities").map(strings).unwrap_or_default(),
            summary: meta
                .get("summary")
                .and_then(Value::as_text)
                .map(Text::to_string)
                .unwrap_or_default(),
            description: meta
                .get("description")
                .map(strings)
                .unwrap_or_default()
                .join("\n"),
            compiled: Compiled::default(),
        })
    }
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array()
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_text)
        .map(Text::to_string)
        .collect()
}

fn check_shape(_meta: &Object) -> Result<(), String> {
    Ok(())
}

impl ModuleInfo {
    pub(crate) fn assembled_schema(&self, _version: Version) -> Result<Value, SchemaError> {
        Ok(Value::Null)
    }
}
