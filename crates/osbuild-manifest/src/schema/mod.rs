//! JSON Schema, draft 4, as python-jsonschema's `Draft4Validator` has it: the same verdicts, paths and words.
//!
//! Keywords of other drafts, and misspelt ones, mean nothing. References are followed within the schema only. A schema
//! is put together once ([`Schema::compile`]) and asked many times ([`Schema::violations`]).

mod check;
mod compile;
mod keyword;
mod number;
mod pattern;

use std::fmt;

use crate::document::PathElement;
use crate::suggestion::Suggestion;
use crate::value::Value;

use keyword::{Node, NodeId};

/// A schema, put together for asking.
#[derive(Debug)]
pub struct Schema {
    nodes: Vec<Node>,
    root: NodeId,
}

impl Schema {
    /// Puts a schema together. Patterns are compiled when a value first meets them.
    pub fn compile(schema: &Value) -> Result<Self, SchemaError> {
        compile::compile(schema)
    }

    /// Gives everything about a value that the schema does not allow.
    pub fn violations(&self, value: &Value) -> Vec<Violation> {
        check::violations(self, value)
    }

    /// Tells whether the schema allows a value.
    pub fn allows(&self, value: &Value) -> bool {
        check::allows(self, self.root, value)
    }
}

/// Something about a value that a schema does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What is wrong, in the words of python-jsonschema.
    pub message: String,
    /// Where in the value.
    pub path: Vec<PathElement>,
    /// What may have been meant, for words that the schema does not know.
    pub suggestions: Vec<Suggestion>,
}

/// Why a schema can not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    /// What is wrong with it.
    pub message: String,
}

impl SchemaError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for SchemaError {}
