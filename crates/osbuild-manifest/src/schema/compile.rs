//! Value to schema.

use std::collections::HashMap;
use std::sync::Arc;

use crate::value::{Object, Text, Value};

use super::keyword::{Additional, AdditionalProperties, Dependency, Keyword, Node, NodeId, Type};
use super::pattern::Pattern;
use super::{Schema, SchemaError};

pub(super) fn compile(schema: &Value) -> Result<Schema, SchemaError> {
    let mut compiler = Compiler {
        root: schema,
        nodes: Vec::new(),
        references: HashMap::new(),
        patterns: HashMap::new(),
    };
    let root = compiler.node(schema, "#")?;
    refuse_loops(&compiler.nodes)?;
    Ok(Schema {
        nodes: compiler.nodes,
        root,
    })
}

struct Compiler<'a> {
    root: &'a Value,
    nodes: Vec<Node>,
    references: HashMap<Text, NodeId>,
    patterns: HashMap<Text, Arc<Pattern>>,
}

/// A keyword of a schema: its value, and where it is.
struct Place<'a> {
    value: &'a Value,
    place: String,
}

impl<'a> Place<'a> {
    fn error<T>(&self, expected: &str) -> Result<T, SchemaError> {
        Err(SchemaError::new(format!(
            "schema at {}: {} is not {expected}",
            self.place,
            self.value.to_python_repr()
        )))
    }

    fn object(&self) -> Result<&'a Object, SchemaError> {
        self.value
            .as_object()
            .map_or_else(|| self.error("an object"), Ok)
    }

    fn array(&self) -> Result<&'a [Value], SchemaError> {
        self.value
            .as_array()
            .map_or_else(|| self.error("a list"), Ok)
    }

    fn text(&self) -> Result<&'a Text, SchemaError> {
        self.value
            .as_text()
            .map_or_else(|| self.error("a string"), Ok)
    }

    fn texts(&self) -> Result<Vec<Text>, SchemaError> {
        let texts = self
            .array()?
            .iter()
            .map(|item| item.as_text().cloned())
            .collect::<Option<_>>();
        texts.map_or_else(|| self.error("a list of strings"), Ok)
    }

    fn count(&self) -> Result<usize, SchemaError> {
        let count = self
            .value
            .as_i64()
            .and_then(|count| usize::try_from(count).ok());
        count.map_or_else(|| self.error("a count"), Ok)
    }

    fn number(&self) -> Result<Value, SchemaError> {
        match self.value {
            Value::Int(_) | Value::Float(_) => Ok(self.value.clone()),
            _ => self.error("a number"),
        }
    }

    fn flag(&self) -> Result<bool, SchemaError> {
        self.value
            .as_bool()
            .map_or_else(|| self.error("a truth value"), Ok)
    }
}

impl Compiler<'_> {
    fn node(&mut self, schema: &Value, place: &str) -> Result<NodeId, SchemaError> {
        let id = self.reserve();
        self.nodes[id.0] = self.keywords(schema, place)?;
        Ok(id)
    }

    fn reserve(&mut self) -> NodeId {
        self.nodes.push(Node::new());
        NodeId(self.nodes.len() - 1)
    }

    fn keywords(&mut self, schema: &Value, place: &str) -> Result<Node, SchemaError> {
        let at = Place {
            value: schema,
            place: place.to_owned(),
        };
        let object = at.object()?;
        if let Some(reference) = object.get("$ref") {
            let at = Place {
                value: reference,
                place: format!("{place}/$ref"),
            };
            return Ok(vec![self.reference(at.text()?)?]);
        }
        let mut keywords = Node::new();
        for (name, value) in object {
            let Some(name) = name.as_str() else { continue };
            let at = Place {
                value,
                place: format!("{place}/{name}"),
            };
            keywords.extend(self.keyword(name, &at, object)?);
        }
        Ok(keywords)
    }

    fn keyword(
        &mut self,
        name: &str,
        at: &Place<'_>,
        schema: &Object,
    ) -> Result<Option<Keyword>, SchemaError> {
        Ok(Some(match name {
            "type" => Keyword::Type(types(at)?),
            "enum" => Keyword::Enum(at.array()?.to_vec()),
            "required" => Keyword::Required(at.texts()?),
            "properties" => Keyword::Properties(self.members(at)?),
            "patternProperties" => Keyword::PatternProperties(self.pattern_members(at)?),
            "additionalProperties" => return self.additional_properties(at, schema),
            "dependencies" => Keyword::Dependencies(self.dependencies(at)?),
            "minProperties" => Keyword::MinimumProperties(at.count()?),
            "maxProperties" => Keyword::MaximumProperties(at.count()?),
            "items" => match at.value {
                Value::Array(_) => Keyword::Items(self.list(at)?),
                _ => Keyword::EachItem(self.node(at.value, &at.place)?),
            },
            "additionalItems" => return self.additional_items(at, schema),
            "minItems" => Keyword::MinimumItems(at.count()?),
            "maxItems" => Keyword::MaximumItems(at.count()?),
            "uniqueItems" => return Ok(at.flag()?.then_some(Keyword::UniqueItems)),
            "minLength" => Keyword::MinimumLength(at.count()?),
            "maxLength" => Keyword::MaximumLength(at.count()?),
            "pattern" => Keyword::Pattern(self.pattern(at.text()?)),
            "minimum" => Keyword::Minimum {
                limit: at.number()?,
                exclusive: flag(schema, "exclusiveMinimum"),
            },
            "maximum" => Keyword::Maximum {
                limit: at.number()?,
                exclusive: flag(schema, "exclusiveMaximum"),
            },
            "multipleOf" => match at.number()? {
                number
                    if number
                        .compare_numbers(&Value::from(0_i64))
                        .is_some_and(std::cmp::Ordering::is_gt) =>
                {
                    Keyword::MultipleOf(number)
                }
                _ => return at.error("above zero"),
            },
            "allOf" => Keyword::AllOf(self.list(at)?),
            "anyOf" => Keyword::AnyOf(self.list(at)?),
            "oneOf" => Keyword::OneOf(
                self.list(at)?
                    .into_iter()
                    .zip(at.array()?.iter().cloned())
                    .collect(),
            ),
            "not" => Keyword::Not(self.node(at.value, &at.place)?, at.value.clone()),
            _ => return Ok(None),
        }))
    }

    /// Follows a JSON pointer into the schema. What it points at is put together once, so schemas may contain
    /// themselves.
    fn reference(&mut self, pointer: &Text) -> Result<Keyword, SchemaError> {
        if let Some(&node) = self.references.get(pointer) {
            return Ok(Keyword::Reference(node));
        }
        let Some(target) = pointer
            .as_str()
            .and_then(|pointer| follow(self.root, pointer))
        else {
            return Ok(Keyword::UnknownReference(pointer.clone()));
        };
        let node = self.reserve();
        self.references.insert(pointer.clone(), node);
        self.nodes[node.0] = self.keywords(target, &pointer.to_string_lossy())?;
        Ok(Keyword::Reference(node))
    }

    fn members(&mut self, at: &Place<'_>) -> Result<Vec<(Text, NodeId)>, SchemaError> {
        let member = |(name, schema): (&Text, &Value)| {
            Ok((
                name.clone(),
                self.node(schema, &format!("{}/{name}", at.place))?,
            ))
        };
        at.object()?.iter().map(member).collect()
    }

    fn pattern_members(
        &mut self,
        at: &Place<'_>,
    ) -> Result<Vec<(Arc<Pattern>, NodeId)>, SchemaError> {
        let members = self.members(at)?;
        Ok(members
            .into_iter()
            .map(|(pattern, node)| (self.pattern(&pattern), node))
            .collect())
    }

    fn list(&mut self, at: &Place<'_>) -> Result<Vec<NodeId>, SchemaError> {
        let items = at.array()?.iter().enumerate();
        items
            .map(|(index, schema)| self.node(schema, &format!("{}/{index}", at.place)))
            .collect()
    }

    /// Gives `None` if everything is allowed.
    fn additional(&mut self, at: &Place<'_>) -> Result<Option<Additional>, SchemaError> {
        Ok(match at.value {
            Value::Bool(true) => None,
            Value::Bool(false) => Some(Additional::Forbidden),
            schema => Some(Additional::Schema(self.node(schema, &at.place)?)),
        })
    }

    fn additional_properties(
        &mut self,
        at: &Place<'_>,
        schema: &Object,
    ) -> Result<Option<Keyword>, SchemaError> {
        let Some(rule) = self.additional(at)? else {
            return Ok(None);
        };
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        Ok(Some(Keyword::AdditionalProperties(Box::new(
            AdditionalProperties {
                rule,
                properties: keys(schema.get("properties").and_then(Value::as_object))
                    .cloned()
                    .collect(),
                patterns: keys(patterns)
                    .map(|pattern| self.pattern(pattern))
                    .collect(),
                has_patterns: patterns.is_some(),
            },
        ))))
    }

    fn additional_items(
        &mut self,
        at: &Place<'_>,
        schema: &Object,
    ) -> Result<Option<Keyword>, SchemaError> {
        // Without a list of items there are no additional ones.
        let Some(Value::Array(items)) = schema.get("items") else {
            return Ok(None);
        };
        let rule = self.additional(at)?;
        Ok(rule.map(|rule| Keyword::AdditionalItems {
            first: items.len(),
            rule,
        }))
    }

    fn dependencies(&mut self, at: &Place<'_>) -> Result<Vec<(Text, Dependency)>, SchemaError> {
        let mut dependencies = Vec::new();
        for (name, value) in at.object()? {
            let at = Place {
                value,
                place: format!("{}/{name}", at.place),
            };
            let dependency = match value {
                Value::Array(_) => Dependency::Members(at.texts()?),
                schema => Dependency::Schema(self.node(schema, &at.place)?),
            };
            dependencies.push((name.clone(), dependency));
        }
        Ok(dependencies)
    }

    fn pattern(&mut self, source: &Text) -> Arc<Pattern> {
        Arc::clone(
            self.patterns
                .entry(source.clone())
                .or_insert_with(|| Arc::new(Pattern::new(source.clone()))),
        )
    }
}

fn keys(object: Option<&Object>) -> impl Iterator<Item = &Text> {
    object.into_iter().flat_map(Object::keys)
}

fn flag(schema: &Object, name: &str) -> bool {
    schema.get(name).is_some_and(Value::is_truthy)
}

fn types(at: &Place<'_>) -> Result<Vec<Type>, SchemaError> {
    let names = match at.value {
        Value::String(name) => vec![name.clone()],
        _ => at.texts()?,
    };
    let types = names
        .iter()
        .map(|name| Type::from_name(name.as_str()?))
        .collect::<Option<_>>();
    types.map_or_else(|| at.error("a type of JSON"), Ok)
}

/// Follows a JSON pointer in a URI fragment (RFC 6901).
fn follow<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let pointer = reference.strip_prefix('#')?;
    if pointer.is_empty() {
        return Some(root);
    }
    pointer
        .strip_prefix('/')?
        .split('/')
        .try_fold(root, |value, step| {
            let step = percent_decoded(step)?.replace("~1", "/").replace("~0", "~");
            match value {
                Value::Object(object) => object.get(&step),
                Value::Array(items) => items.get(step.parse::<usize>().ok()?),
                _ => None,
            }
        })
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let digits = if byte == b'%' {
            rest.get(..2)
                .and_then(|digits| std::str::from_utf8(digits).ok())
        } else {
            None
        };
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &rest[2..];
            }
            None => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// Refuses schemas that refer to themselves for one and the same value, which no validator could finish.
fn refuse_loops(nodes: &[Node]) -> Result<(), SchemaError> {
    #[derive(Clone, Copy, PartialEq)]
    enum Visit {
        Not,
        Open,
        Done,
    }
    let mut visits = vec![Visit::Not; nodes.len()];
    for start in 0..nodes.len() {
        let mut stack = vec![(NodeId(start), false)];
        while let Some((node, is_left)) = stack.pop() {
            if is_left {
                visits[node.0] = Visit::Done;
                continue;
            }
            match visits[node.0] {
                Visit::Done => continue,
                Visit::Open => {
                    return Err(SchemaError::new("the schema refers to itself without end"));
                }
                Visit::Not => {}
            }
            visits[node.0] = Visit::Open;
            stack.push((node, true));
            let next = nodes[node.0].iter().flat_map(Keyword::in_place);
            stack.extend(
                next.filter(|next| visits[next.0] != Visit::Done)
                    .map(|next| (next, false)),
            );
        }
    }
    Ok(())
}
