//! A value against a schema.

use crate::document::PathElement;
use crate::json::{repr, repr_text};
use crate::suggestion::{Suggestion, suggest};
use crate::value::{Object, Text, Value};

use super::keyword::{Additional, AdditionalProperties, Dependency, Keyword, NodeId, Type};
use super::pattern::Pattern;
use super::{Schema, Violation, number};

pub(super) fn violations(schema: &Schema, value: &Value) -> Vec<Violation> {
    let mut check = Check {
        schema,
        verdict_only: false,
        failed: false,
        violations: Vec::new(),
    };
    check.node(schema.root, value, &Place::ROOT);
    check.violations
}

/// Tells the verdict alone, and so stops at the first thing that is wrong.
pub(super) fn allows(schema: &Schema, node: NodeId, value: &Value) -> bool {
    let mut check = Check {
        schema,
        verdict_only: true,
        failed: false,
        violations: Vec::new(),
    };
    check.node(node, value, &Place::ROOT);
    !check.failed
}

struct Check<'s> {
    schema: &'s Schema,
    verdict_only: bool,
    failed: bool,
    violations: Vec<Violation>,
}

/// Where a value is, as a chain to the root on the stack: paths are only written out for what is wrong.
struct Place<'a> {
    step: Option<(&'a Place<'a>, Step<'a>)>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a Text),
    Index(usize),
}

impl<'a> Place<'a> {
    const ROOT: Place<'static> = Place { step: None };

    fn member(&'a self, key: &'a Text) -> Self {
        Self {
            step: Some((self, Step::Key(key))),
        }
    }

    fn item(&'a self, index: usize) -> Self {
        Self {
            step: Some((self, Step::Index(index))),
        }
    }

    fn path(&self) -> Vec<PathElement> {
        let mut path = Vec::new();
        let mut place = self;
        while let Some((parent, step)) = place.step {
            path.push(match step {
                Step::Key(key) => PathElement::Key(key.clone()),
                Step::Index(index) => PathElement::Index(index),
            });
            place = parent;
        }
        path.reverse();
        path
    }
}

impl Check<'_> {
    fn node(&mut self, node: NodeId, value: &Value, place: &Place<'_>) {
        let schema = self.schema;
        for keyword in &schema.nodes[node.0] {
            if self.verdict_only && self.failed {
                return;
            }
            match value {
                Value::Object(object) => self.object_keyword(keyword, value, object, place),
                Value::Array(items) => self.array_keyword(keyword, value, items, place),
                Value::String(text) => self.string_keyword(keyword, value, text, place),
                Value::Int(_) | Value::Float(_) => self.number_keyword(keyword, value, place),
                Value::Null | Value::Bool(_) => {}
            }
            self.any_keyword(keyword, value, place);
        }
    }

    fn allows(&self, node: NodeId, value: &Value) -> bool {
        allows(self.schema, node, value)
    }

    fn fail(&mut self, place: &Place<'_>, message: impl FnOnce() -> String) {
        self.fail_with(place, message, Vec::new);
    }

    fn fail_with(
        &mut self,
        place: &Place<'_>,
        message: impl FnOnce() -> String,
        suggestions: impl FnOnce() -> Vec<Suggestion>,
    ) {
        self.failed = true;
        if !self.verdict_only {
            self.violations.push(Violation {
                message: message(),
                path: place.path(),
                suggestions: suggestions(),
            });
        }
    }

    fn any_keyword(&mut self, keyword: &Keyword, value: &Value, place: &Place<'_>) {
        match keyword {
            Keyword::Reference(node) => self.node(*node, value, place),
            Keyword::UnknownReference(reference) => {
                self.fail(place, || {
                    format!(
                        "the schema refers to {}, which it does not have",
                        repr_text(reference)
                    )
                });
            }
            Keyword::Type(types) if !types.iter().any(|one| one.has(value)) => {
                self.fail(place, || {
                    format!("{} is not of type {}", repr(value), quoted(types))
                });
            }
            Keyword::Enum(allowed) => self.enumeration(allowed, value, place),
            Keyword::AllOf(nodes) => nodes.iter().for_each(|&node| self.node(node, value, place)),
            Keyword::AnyOf(nodes) if !nodes.iter().any(|&node| self.allows(node, value)) => {
                self.fail(place, || not_any(value));
            }
            Keyword::OneOf(nodes) => self.one_of(nodes, value, place),
            Keyword::Not(node, schema) if self.allows(*node, value) => {
                self.fail(place, || {
                    format!("{} should not be valid under {}", repr(value), repr(schema))
                });
            }
            _ => {}
        }
    }

    fn enumeration(&mut self, allowed: &[Value], value: &Value, place: &Place<'_>) {
        if allowed.iter().any(|one| one.same_as(value)) {
            return;
        }
        let message = || {
            format!(
                "{} is not one of {}",
                repr(value),
                repr(&Value::Array(allowed.to_vec()))
            )
        };
        let suggestions = || {
            let known = allowed.iter().filter_map(Value::as_str);
            value
                .as_str()
                .and_then(|word| suggest(word, known))
                .into_iter()
                .collect()
        };
        self.fail_with(place, message, suggestions);
    }

    fn one_of(&mut self, nodes: &[(NodeId, Value)], value: &Value, place: &Place<'_>) {
        let mut valid = nodes
            .iter()
            .filter(|(node, _)| self.allows(*node, value))
            .map(|(_, schema)| schema);
        let Some(first) = valid.next() else {
            return self.fail(place, || not_any(value));
        };
        let mut more: Vec<&Value> = valid.collect();
        if !more.is_empty() {
            // Upstream's validator names the first one last.
            more.push(first);
            self.fail(place, || {
                format!(
                    "{} is valid under each of {}",
                    repr(value),
                    joined(more.iter().map(|schema| repr(schema)))
                )
            });
        }
    }

    fn object_keyword(
        &mut self,
        keyword: &Keyword,
        value: &Value,
        object: &Object,
        place: &Place<'_>,
    ) {
        match keyword {
            Keyword::Required(names) => {
                for name in names.iter().filter(|name| object.get_text(name).is_none()) {
                    self.fail(place, || {
                        format!("{} is a required property", repr_text(name))
                    });
                }
            }
            Keyword::Properties(properties) => {
                for (name, node) in properties {
                    if let Some(member) = object.get_text(name) {
                        self.node(*node, member, &place.member(name));
                    }
                }
            }
            Keyword::PatternProperties(properties) => {
                for (pattern, node) in properties {
                    for (name, member) in object {
                        if self.matches(pattern, name, place) {
                            self.node(*node, member, &place.member(name));
                        }
                    }
                }
            }
            Keyword::AdditionalProperties(additional) => {
                self.additional_properties(additional, object, place);
            }
            Keyword::Dependencies(dependencies) => {
                self.dependencies(dependencies, value, object, place);
            }
            Keyword::MinimumProperties(limit) if object.len() < *limit => {
                let words = if *limit == 1 {
                    "should be non-empty"
                } else {
                    "does not have enough properties"
                };
                self.fail(place, || format!("{} {words}", repr(value)));
            }
            Keyword::MaximumProperties(limit) if object.len() > *limit => {
                let words = if *limit == 0 {
                    "is expected to be empty"
                } else {
                    "has too many properties"
                };
                self.fail(place, || format!("{} {words}", repr(value)));
            }
            _ => {}
        }
    }

    fn additional_properties(
        &mut self,
        additional: &AdditionalProperties,
        object: &Object,
        place: &Place<'_>,
    ) {
        let mut extras: Vec<(&Text, &Value)> = Vec::new();
        for (name, member) in object {
            let is_known = additional.properties.contains(name)
                || additional
                    .patterns
                    .iter()
                    .any(|pattern| self.matches(pattern, name, place));
            if !is_known {
                extras.push((name, member));
            }
        }
        match additional.rule {
            Additional::Schema(node) => {
                for (name, member) in extras {
                    self.node(node, member, &place.member(name));
                }
            }
            Additional::Forbidden if extras.is_empty() => {}
            Additional::Forbidden => {
                let mut names: Vec<&Text> = extras.into_iter().map(|(name, _)| name).collect();
                names.sort();
                let suggestions = || {
                    let known = || additional.properties.iter().filter_map(Text::as_str);
                    names
                        .iter()
                        .filter_map(|name| suggest(name.as_str()?, known()))
                        .collect()
                };
                self.fail_with(place, || unexpected(&names, additional), suggestions);
            }
        }
    }

    fn dependencies(
        &mut self,
        dependencies: &[(Text, Dependency)],
        value: &Value,
        object: &Object,
        place: &Place<'_>,
    ) {
        for (name, dependency) in dependencies
            .iter()
            .filter(|(name, _)| object.get_text(name).is_some())
        {
            match dependency {
                Dependency::Schema(node) => self.node(*node, value, place),
                Dependency::Members(needed) => {
                    for need in needed.iter().filter(|need| object.get_text(need).is_none()) {
                        self.fail(place, || {
                            format!("{} is a dependency of {}", repr_text(need), repr_text(name))
                        });
                    }
                }
            }
        }
    }

    fn array_keyword(
        &mut self,
        keyword: &Keyword,
        value: &Value,
        items: &[Value],
        place: &Place<'_>,
    ) {
        match keyword {
            Keyword::EachItem(node) => {
                for (index, item) in items.iter().enumerate() {
                    self.node(*node, item, &place.item(index));
                }
            }
            Keyword::Items(nodes) => {
                for (index, (item, node)) in items.iter().zip(nodes).enumerate() {
                    self.node(*node, item, &place.item(index));
                }
            }
            Keyword::AdditionalItems { first, rule } if items.len() > *first => match rule {
                Additional::Schema(node) => {
                    for (index, item) in items.iter().enumerate().skip(*first) {
                        self.node(*node, item, &place.item(index));
                    }
                }
                Additional::Forbidden => {
                    let extras = &items[*first..];
                    let verb = if extras.len() == 1 { "was" } else { "were" };
                    let message = || {
                        let extras = joined(extras.iter().map(repr));
                        format!("Additional items are not allowed ({extras} {verb} unexpected)")
                    };
                    self.fail(place, message);
                }
            },
            Keyword::MinimumItems(limit) if items.len() < *limit => {
                self.fail(place, || format!("{} {}", repr(value), too_short(*limit)));
            }
            Keyword::MaximumItems(limit) if items.len() > *limit => {
                self.fail(place, || format!("{} {}", repr(value), too_long(*limit)));
            }
            Keyword::UniqueItems if !are_unique(items) => {
                self.fail(place, || format!("{} has non-unique elements", repr(value)));
            }
            _ => {}
        }
    }

    fn string_keyword(&mut self, keyword: &Keyword, value: &Value, text: &Text, place: &Place<'_>) {
        match keyword {
            Keyword::MinimumLength(limit) if text.length() < *limit => {
                self.fail(place, || format!("{} {}", repr(value), too_short(*limit)));
            }
            Keyword::MaximumLength(limit) if text.length() > *limit => {
                self.fail(place, || format!("{} {}", repr(value), too_long(*limit)));
            }
            Keyword::Pattern(pattern) if !self.matches(pattern, text, place) => {
                let source = repr_text(pattern.source());
                self.fail(place, || format!("{} does not match {source}", repr(value)));
            }
            _ => {}
        }
    }

    fn number_keyword(&mut self, keyword: &Keyword, value: &Value, place: &Place<'_>) {
        match keyword {
            Keyword::Minimum { limit, exclusive } if number::is_below(value, limit, *exclusive) => {
                let or_equal = if *exclusive { " or equal to" } else { "" };
                self.fail(place, || {
                    let (value, limit) = (repr(value), repr(limit));
                    format!("{value} is less than{or_equal} the minimum of {limit}")
                });
            }
            Keyword::Maximum { limit, exclusive } if number::is_below(limit, value, *exclusive) => {
                let or_equal = if *exclusive { " or equal to" } else { "" };
                self.fail(place, || {
                    let (value, limit) = (repr(value), repr(limit));
                    format!("{value} is greater than{or_equal} the maximum of {limit}")
                });
            }
            Keyword::MultipleOf(factor) if !number::is_multiple(value, factor) => {
                self.fail(place, || {
                    format!("{} is not a multiple of {}", repr(value), repr(factor))
                });
            }
            _ => {}
        }
    }

    /// Tells whether a pattern is found in a text; a pattern that can not be used is reported, and found nowhere.
    fn matches(&mut self, pattern: &Pattern, text: &Text, place: &Place<'_>) -> bool {
        match pattern.is_found_in(text) {
            Ok(found) => found,
            Err(problem) => {
                let source = repr_text(pattern.source());
                self.fail(place, || {
                    format!("the schema's pattern {source} can not be used: {problem}")
                });
                false
            }
        }
    }
}

fn quoted(types: &[Type]) -> String {
    joined(types.iter().map(|one| format!("'{}'", one.name())))
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

fn not_any(value: &Value) -> String {
    format!(
        "{} is not valid under any of the given schemas",
        repr(value)
    )
}

fn too_short(limit: usize) -> &'static str {
    if limit == 1 {
        "should be non-empty"
    } else {
        "is too short"
    }
}

fn too_long(limit: usize) -> &'static str {
    if limit == 0 {
        "is expected to be empty"
    } else {
        "is too long"
    }
}

fn unexpected(names: &[&Text], additional: &AdditionalProperties) -> String {
    let shown = joined(names.iter().map(|name| repr_text(name)));
    if additional.has_patterns {
        let verb = if names.len() == 1 { "does" } else { "do" };
        let mut patterns: Vec<&Text> = additional
            .patterns
            .iter()
            .map(|pattern| pattern.source())
            .collect();
        patterns.sort();
        let patterns = joined(patterns.into_iter().map(repr_text));
        return format!("{shown} {verb} not match any of the regexes: {patterns}");
    }
    let verb = if names.len() == 1 { "was" } else { "were" };
    format!("Additional properties are not allowed ({shown} {verb} unexpected)")
}

fn are_unique(items: &[Value]) -> bool {
    // Long lists are lists of strings; comparing each with each is for the others.
    if items.iter().all(|item| item.as_text().is_some()) {
        let mut seen = std::collections::HashSet::new();
        return items
            .iter()
            .filter_map(Value::as_text)
            .all(|text| seen.insert(text));
    }
    items
        .iter()
        .enumerate()
        .all(|(index, item)| !items[..index].iter().any(|before| before.same_as(item)))
}
