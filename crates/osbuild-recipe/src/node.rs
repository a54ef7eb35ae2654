//! A YAML document as written: values with the place each was written at.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::problem::{Place, RecipeError};
use crate::yaml_error::explain;

/// More than the six levels of a recipe, and few enough for any stack: a level takes up to 40 KB of it.
const DEEPEST_NESTING: usize = 24;
/// Values that references to anchors may stand for, in all.
const MOST_REPEATED_VALUES: usize = 20_000;

/// One YAML value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) kind: NodeKind,
}

/// What a YAML value is.
#[derive(Clone, Debug)]
pub(crate) enum NodeKind {
    Null,
    Boolean(bool),
    Integer(i128),
    Float,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a YAML mapping and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) place: Place,
    pub(crate) name: String,
}

impl NodeKind {
    /// Names the kind in an error message.
    pub(crate) fn description(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Boolean(_) => "true or false",
            Self::Integer(_) | Self::Float => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Reads one YAML document.
pub(crate) fn read(text: &str) -> Result<Node, RecipeError> {
    let options = serde_saphyr::options! {
        // `mode: 0644` must stay the text it was written as.
        leading_zero_numbers_as_strings: true,
        // `yes` and `on` as names of things are text.
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: DEEPEST_NESTING,
        },
        // Anchors save a person some typing; more than this is an attack on the memory.
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MOST_REPEATED_VALUES,
        },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(text, &error))
}

fn place_of<T>(spanned: &Spanned<T>) -> Place {
    Place {
        line: spanned.referenced.line() as usize,
        column: spanned.referenced.column() as usize,
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<NodeKind>::deserialize(deserializer)?;
        Ok(Self {
            place: place_of(&spanned),
            kind: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for NodeKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = NodeKind;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<NodeKind, E> {
        Ok(NodeKind::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<NodeKind, E> {
        Ok(NodeKind::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<NodeKind, D::Error> {
        NodeKind::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<NodeKind, E> {
        Ok(NodeKind::Boolean(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<NodeKind, E> {
        Ok(NodeKind::Integer(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<NodeKind, E> {
        Ok(NodeKind::Integer(value.into()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<NodeKind, E> {
        Ok(NodeKind::Integer(value))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<NodeKind, E> {
        Ok(NodeKind::Float)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<NodeKind, E> {
        Ok(NodeKind::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<NodeKind, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = sequence.next_element()? {
            list.push(node);
        }
        Ok(NodeKind::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NodeKind, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let place = place_of(&key);
            let node = map.next_value()?;
            let name = key.value;
            entries.push((Key { place, name }, node));
        }
        Ok(NodeKind::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(node: &Node) -> &[(Key, Node)] {
        match &node.kind {
            NodeKind::Map(entries) => entries,
            other => panic!("{other:?} is not a mapping"),
        }
    }

    #[test]
    fn every_value_knows_its_place() {
        let node = read("a: 1\nlist:\n  - x\n  - mode: 0644\n").unwrap();
        let list = &entries(&node)[1];
        assert_eq!(list.0.place, Place { line: 2, column: 1 });
        let NodeKind::List(items) = &list.1.kind else {
            panic!("not a list");
        };
        assert_eq!(items[0].place, Place { line: 3, column: 5 });
        let (key, value) = &entries(&items[1])[0];
        assert_eq!(key.place, Place { line: 4, column: 5 });
        assert_eq!(
            value.place,
            Place {
                line: 4,
                column: 11
            }
        );
        assert!(matches!(&value.kind, NodeKind::Text(text) if text == "0644"));
    }

    #[test]
    fn a_syntax_error_has_a_place() {
        let error = read("packages:\n  include: [curl\nhostname: x\n").unwrap_err();
        assert!(error.message.starts_with("not valid YAML: "), "{error}");
        assert_eq!(error.line, 3, "{error}");
    }

    #[test]
    fn a_key_written_twice_is_refused() {
        let error = read("hostname: a\nhostname: b\n").unwrap_err();
        assert_eq!((error.line, error.column), (2, 1), "{error}");
        assert!(error.message.contains("hostname"), "{error}");
    }

    #[test]
    fn anchors_and_merges_are_followed() {
        let node = read("base: &b {x: 1}\nuse:\n  <<: *b\n  y: 2\n").unwrap();
        let names: Vec<_> = entries(&entries(&node)[1].1)
            .iter()
            .map(|(key, _)| key.name.as_str())
            .collect();
        assert_eq!(names, ["y", "x"]);
    }
}
