//! The keywords of a schema, decoded.

use std::collections::HashSet;
use std::sync::Arc;

use crate::value::{Text, Value};

use super::pattern::Pattern;

/// A place in [`super::Schema::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NodeId(pub(super) usize);

/// A schema or subschema: all of its keywords, in order.
pub(super) type Node = Vec<Keyword>;

#[derive(Debug)]
pub(super) enum Keyword {
    /// Stands alone: keywords beside it mean nothing in draft 4.
    Reference(NodeId),
    UnknownReference(Text),
    Type(Vec<Type>),
    Enum(Vec<Value>),
    Required(Vec<Text>),
    Properties(Vec<(Text, NodeId)>),
    PatternProperties(Vec<(Arc<Pattern>, NodeId)>),
    AdditionalProperties(Box<AdditionalProperties>),
    Dependencies(Vec<(Text, Dependency)>),
    MinimumProperties(usize),
    MaximumProperties(usize),
    EachItem(NodeId),
    Items(Vec<NodeId>),
    AdditionalItems {
        first: usize,
        rule: Additional,
    },
    MinimumItems(usize),
    MaximumItems(usize),
    UniqueItems,
    MinimumLength(usize),
    MaximumLength(usize),
    Pattern(Arc<Pattern>),
    Minimum {
        limit: Value,
        exclusive: bool,
    },
    Maximum {
        limit: Value,
        exclusive: bool,
    },
    MultipleOf(Value),
    AllOf(Vec<NodeId>),
    AnyOf(Vec<NodeId>),
    OneOf(Vec<(NodeId, Value)>),
    Not(NodeId, Value),
}

#[derive(Debug)]
pub(super) struct AdditionalProperties {
    pub(super) rule: Additional,
    pub(super) properties: HashSet<Text>,
    pub(super) patterns: Vec<Arc<Pattern>>,
    /// Whether the schema has `patternProperties`, though perhaps without any; it changes the words.
    pub(super) has_patterns: bool,
}

/// What holds for members and items that no other keyword speaks of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Additional {
    Forbidden,
    Schema(NodeId),
}

#[derive(Debug)]
pub(super) enum Dependency {
    Members(Vec<Text>),
    Schema(NodeId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Array,
    Boolean,
    Integer,
    Null,
    Number,
    Object,
    String,
}

impl Type {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Array, "array"),
        (Self::Boolean, "boolean"),
        (Self::Integer, "integer"),
        (Self::Null, "null"),
        (Self::Number, "number"),
        (Self::Object, "object"),
        (Self::String, "string"),
    ];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(_, known)| *known == name)
            .map(|(found, _)| found)
    }

    pub(super) fn name(self) -> &'static str {
        Self::ALL
            .into_iter()
            .find(|(known, _)| *known == self)
            .map_or("", |(_, name)| name)
    }

    /// Tells whether a value is of the type. A float is no integer, whatever its value.
    pub(super) fn has(self, value: &Value) -> bool {
        match value {
            Value::Null => self == Self::Null,
            Value::Bool(_) => self == Self::Boolean,
            Value::Int(_) => matches!(self, Self::Integer | Self::Number),
            Value::Float(_) => self == Self::Number,
            Value::String(_) => self == Self::String,
            Value::Array(_) => self == Self::Array,
            Value::Object(_) => self == Self::Object,
        }
    }
}

impl Keyword {
    /// Gives the subschemas that hold for the same value, not for something inside it.
    pub(super) fn in_place(&self) -> Vec<NodeId> {
        match self {
            Self::Reference(node) | Self::Not(node, _) => vec![*node],
            Self::AllOf(nodes) | Self::AnyOf(nodes) => nodes.clone(),
            Self::OneOf(nodes) => nodes.iter().map(|(node, _)| *node).collect(),
            Self::Dependencies(dependencies) => dependencies
                .iter()
                .filter_map(|(_, dependency)| match dependency {
                    Dependency::Schema(node) => Some(*node),
                    Dependency::Members(_) => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}
