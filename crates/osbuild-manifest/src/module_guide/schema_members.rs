//! The members that a JSON schema lets a map have, as a flat list.

use anyhow::{Context, Result};
use serde_json::Value;

/// Schemas refer to each other; a cycle ends here.
const DEPTH: usize = 8;
/// Between the values that a member can have.
const OR: &str = " or ";
/// Longer lists of values are left to the schema.
const VALUES_SHOWN: usize = 12;

/// A member of a map, or of a map below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// `a.b` for a member of a member, `a[]` for an item of a list, `*` for members of any name.
    pub path: String,
    /// Whether it has to be there.
    pub is_required: bool,
    /// What it can be, in words.
    pub value: String,
    /// What it means, as the schema says.
    pub description: String,
}

/// Lists every member, depth first, in the order of the schema. Its references lead to definitions in itself or in
/// what it is part of.
pub(super) fn list(schema: &Value, whole: &Value) -> Result<Vec<Member>> {
    let mut walk = Walk {
        roots: [schema, whole],
        members: Vec::new(),
    };
    walk.maps(schema, "", DEPTH, &[schema])?;
    Ok(walk.members)
}

struct Walk<'a> {
    roots: [&'a Value; 2],
    members: Vec<Member>,
}

impl<'a> Walk<'a> {
    /// Adds the members of a schema of a map, its alternatives included, or of the maps in a list. A member is required
    /// if each schema of `all` says so.
    fn maps(
        &mut self,
        schema: &'a Value,
        prefix: &str,
        depth: usize,
        all: &[&'a Value],
    ) -> Result<()> {
        if depth == 0 {
            return Ok(());
        }
        let required = |name: &str| all.iter().all(|schema| requires(schema, name));
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            self.add(member, &join(prefix, name), required(name), depth)?;
        }
        let any_name = schema["patternProperties"].as_object();
        let any_name = any_name.into_iter().flat_map(|patterns| patterns.values());
        let rest = schema["additionalProperties"].is_object();
        for member in any_name.chain(rest.then_some(&schema["additionalProperties"])) {
            self.add(member, &join(prefix, "*"), false, depth)?;
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            let part = self.resolved(part)?;
            self.maps(part, prefix, depth - 1, &[part])?;
        }
        let alternatives = alternatives(schema)
            .map(|alternative| self.resolved(alternative))
            .collect::<Result<Vec<_>>>()?;
        for alternative in &alternatives {
            self.maps(alternative, prefix, depth - 1, &alternatives)?;
        }
        if !prefix.is_empty() && schema["items"].is_object() {
            let item = self.resolved(&schema["items"])?;
            self.maps(item, &format!("{prefix}[]"), depth - 1, &[item])?;
        }
        Ok(())
    }

    fn add(&mut self, schema: &'a Value, path: &str, required: bool, depth: usize) -> Result<()> {
        let resolved = self.resolved(schema)?;
        let value = self.value(resolved)?;
        let description = [schema, resolved]
            .iter()
            .find_map(|schema| schema["description"].as_str())
            .unwrap_or_default();
        // Alternatives repeat what they have in common.
        if let Some(member) = self.members.iter_mut().find(|member| member.path == path) {
            let old = std::mem::take(&mut member.value);
            let parts = old.split(OR).chain(value.split(OR)).map(str::to_owned);
            member.value = joined(parts);
            if !description.is_empty() && !member.description.contains(description) {
                member.description = format!("{} Or: {description}", member.description);
            }
        } else {
            self.members.push(Member {
                path: path.to_owned(),
                is_required: required,
                value,
                description: description.to_owned(),
            });
        }
        self.maps(resolved, path, depth - 1, &[resolved])
    }

    fn resolved(&self, schema: &'a Value) -> Result<&'a Value> {
        let Some(reference) = schema["$ref"].as_str() else {
            return Ok(schema);
        };
        let pointer = reference
            .strip_prefix('#')
            .with_context(|| format!("`{reference}` leads out of the schema"))?;
        self.roots
            .iter()
            .find_map(|root| root.pointer(pointer))
            .with_context(|| format!("`{reference}` leads nowhere"))
    }

    /// Says in words what a schema allows.
    fn value(&self, schema: &'a Value) -> Result<String> {
        let mut words = if let Some(values) = schema["enum"].as_array() {
            one_of(values)
        } else if let Some(kind) = schema["type"].as_str() {
            self.kind(kind, schema)?
        } else if let Some(kinds) = schema["type"].as_array() {
            joined(
                kinds
                    .iter()
                    .map(|kind| kind.as_str().unwrap_or("?").to_owned()),
            )
        } else {
            let parts = schema["allOf"].as_array().into_iter().flatten();
            let values = alternatives(schema)
                .chain(parts)
                .map(|alternative| self.value(self.resolved(alternative)?))
                .collect::<Result<Vec<_>>>()?;
            joined(values)
        };
        if let Some(default) = schema.get("default") {
            words = format!("{words}; default `{default}`");
        }
        Ok(words)
    }

    fn kind(&self, kind: &str, schema: &'a Value) -> Result<String> {
        Ok(match kind {
            "object" => "map".to_owned(),
            "array" if schema["items"].is_object() => {
                let item = self.value(self.resolved(&schema["items"])?)?;
                format!(
                    "list of {}",
                    if item.is_empty() { "anything" } else { &item }
                )
            }
            "array" => "list".to_owned(),
            other => other.to_owned(),
        })
    }
}

fn requires(schema: &Value, name: &str) -> bool {
    schema["required"]
        .as_array()
        .is_some_and(|names| names.iter().any(|required| required == name))
}

fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    ["oneOf", "anyOf"]
        .into_iter()
        .filter_map(|keyword| schema[keyword].as_array())
        .flatten()
}

fn one_of(values: &[Value]) -> String {
    let shown = values
        .iter()
        .take(VALUES_SHOWN)
        .map(|value| format!("`{value}`"));
    let mut words = joined(shown);
    if values.len() > VALUES_SHOWN {
        words = format!("{words} and {} more", values.len() - VALUES_SHOWN);
    }
    words
}

/// Joins texts, each once.
fn joined(texts: impl IntoIterator<Item = String>) -> String {
    let mut different: Vec<String> = Vec::new();
    for text in texts {
        if !text.is_empty() && !different.contains(&text) {
            different.push(text);
        }
    }
    different.join(OR)
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(schema: &Value) -> Vec<String> {
        let members = list(schema, &Value::Null).unwrap();
        let line = |member: &Member| {
            let mark = if member.is_required { "!" } else { "" };
            format!(
                "{}{mark}: {}: {}",
                member.path, member.value, member.description
            )
        };
        members.iter().map(line).collect()
    }

    #[test]
    fn members_are_listed_below_maps_lists_and_alternatives() {
        let schema = json!({
            "required": ["paths"],
            "properties": {
                "paths": {
                    "type": "array",
                    "description": "What to copy",
                    "items": {"$ref": "#/definitions/path"}
                },
                "size": {"oneOf": [{"type": "string"}, {"type": "integer"}, {"type": "string"}]},
                "mode": {"enum": ["a", 1], "default": "a"},
                "rest": {"type": "object", "additionalProperties": {"type": ["null", "string"]}}
            },
            "definitions": {
                "path": {
                    "type": "object",
                    "required": ["from"],
                    "properties": {
                        "from": {"type": "string", "description": "Where from"},
                        "more": {"$ref": "#/definitions/leaf", "description": "Nearer"}
                    }
                },
                "leaf": {"type": "boolean", "description": "Farther"}
            }
        });
        assert_eq!(
            lines(&schema),
            [
                "paths!: list of map: What to copy",
                "paths[].from!: string: Where from",
                "paths[].more: boolean: Nearer",
                "size: string or integer: ",
                "mode: `\"a\"` or `1`; default `\"a\"`: ",
                "rest: map: ",
                "rest.*: null or string: ",
            ]
        );
    }

    #[test]
    fn alternatives_of_the_whole_are_merged() {
        let schema = json!({"oneOf": [
            {"required": ["a", "c"], "properties": {"a": {"enum": [1]}, "c": {"type": "string"}}},
            {"required": ["a"], "properties": {"a": {"enum": [2]}, "b": {"type": "string"}}}
        ]});
        assert_eq!(
            lines(&schema),
            ["a!: `1` or `2`: ", "c: string: ", "b: string: "]
        );
    }

    #[test]
    fn a_schema_that_holds_itself_ends() {
        let schema = json!({
            "properties": {"a": {"$ref": "#/definitions/a"}},
            "definitions": {"a": {"type": "object", "properties": {"a": {"$ref": "#/definitions/a"}}}}
        });
        assert_eq!(lines(&schema).len(), DEPTH);
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_told() {
        let schema = json!({"properties": {"a": {"$ref": "#/definitions/b"}}});
        let whole = json!({"definitions": {"b": {"type": "string"}}});
        assert_eq!(list(&schema, &whole).unwrap()[0].value, "string");
        assert_eq!(
            list(&schema, &Value::Null).unwrap_err().to_string(),
            "`#/definitions/b` leads nowhere"
        );
    }
}
