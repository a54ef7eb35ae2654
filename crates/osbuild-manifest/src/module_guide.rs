//! What there is to tell a person about a module: what it does, what it takes, and an example.
//!
//! All of it is read from the metadata that validates manifests, so that it is true; the examples are made from the
//! schemas, and checked against them.

mod example;
mod example_texts;
mod schema_members;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::manifest::Version;
use crate::module::{ModuleInfo, ModuleKind};

pub use schema_members::Member;

/// A module explained.
#[derive(Clone, Debug, PartialEq)]
pub struct ModuleGuide {
    /// Its kind.
    pub kind: ModuleKind,
    /// Its name in manifests.
    pub name: String,
    /// What it does, on one line.
    pub summary: String,
    /// What it does, on several lines.
    pub description: String,
    /// Capabilities (`CAP_*`) that it needs beyond the usual ones.
    pub capabilities: Vec<String>,
    /// The inputs, devices and mounts that a stage can use, such as "devices `device`".
    pub services: Vec<String>,
    /// What its members are called in a manifest: "options" or "members".
    pub takes: &'static str,
    /// Everything that it takes.
    pub members: Vec<Member>,
    /// How it is used in a manifest; `None` if none was found that its schema allows.
    pub example: Option<Value>,
}

impl ModuleGuide {
    /// Reads a module's metadata.
    ///
    /// # Errors
    /// It has no schema, or one with references that lead nowhere.
    pub fn of(module: &ModuleInfo) -> Result<Self> {
        let schema = module.schema_2.as_ref().or(module.schema.as_ref());
        let schema = schema.context("there is no schema")?.to_serde();
        let is_whole_stage = module.kind == ModuleKind::Stage && module.schema_2.is_some();
        let options = if is_whole_stage {
            &schema["options"]
        } else {
            &schema
        };
        Ok(Self {
            kind: module.kind,
            name: module.name.clone(),
            summary: one_line(&module.summary),
            description: module.description.clone(),
            capabilities: module.capabilities.clone(),
            services: if is_whole_stage {
                services(&schema)
            } else {
                Vec::new()
            },
            takes: what_it_takes(module.kind),
            members: schema_members::list(options, &schema)?,
            example: example(module),
        })
    }
}

/// Puts a text on one line.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn what_it_takes(kind: ModuleKind) -> &'static str {
    match kind {
        ModuleKind::Source | ModuleKind::Input | ModuleKind::Mount => "members",
        _ => "options",
    }
}

/// Tells which inputs, devices and mounts a stage knows.
fn services(stage: &Value) -> Vec<String> {
    ["inputs", "devices", "mounts"]
        .into_iter()
        .filter_map(|kind| {
            let known = stage
                .get(kind)?
                .get("properties")
                .and_then(Value::as_object);
            let known: Vec<_> = known
                .into_iter()
                .flat_map(Map::keys)
                .map(|name| format!("`{name}`"))
                .collect();
            Some(format!("{kind} {}", known.join(", ")).trim_end().to_owned())
        })
        .collect()
}

/// Makes an example as it stands in a manifest: sources are members of a map, by name.
fn example(module: &ModuleInfo) -> Option<Value> {
    let version = match module.kind {
        ModuleKind::Assembler => Version::One,
        _ => Version::Two,
    };
    let schema = module.compiled_schema(version).ok()?;
    let text = module.assembled_schema(version).ok()?.to_serde();
    let example = example::make(&text, &|value| {
        schema.allows(&crate::value::Value::from_serde(value))
    })?;
    Some(match module.kind {
        ModuleKind::Source => json!({ module.name.as_str(): example }),
        _ => example,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guide(kind: ModuleKind, meta: &Value) -> ModuleGuide {
        let text = meta.to_string();
        let module = ModuleInfo::from_meta_json(kind, "org.osbuild.x", &text).unwrap();
        ModuleGuide::of(&module).unwrap()
    }

    #[test]
    fn a_stage_is_explained_from_its_metadata() {
        let guide = guide(
            ModuleKind::Stage,
            &json!({
                "summary": "Make\n x",
                "description": ["One line.", "Another."],
                "capabilities": ["CAP_MKNOD"],
                "schema_2": {
                    "devices": {
                        "type": "object", "additionalProperties": true, "required": ["device"],
                        "properties": {"device": {"type": "object"}}
                    },
                    "mounts": {"type": "array"},
                    "options": {
                        "type": "object", "additionalProperties": false, "required": ["uuid"],
                        "properties": {
                            "uuid": {"type": "string", "description": "Which"},
                            "label": {"type": "string"}
                        }
                    }
                }
            }),
        );
        assert_eq!(guide.summary, "Make x");
        assert_eq!(guide.description, "One line.\nAnother.");
        assert_eq!(guide.services, ["devices `device`", "mounts"]);
        assert_eq!(guide.takes, "options");
        let members: Vec<_> = guide
            .members
            .iter()
            .map(|member| (member.path.as_str(), member.is_required))
            .collect();
        assert_eq!(members, [("uuid", true), ("label", false)]);
        let example = guide.example.unwrap();
        assert_eq!(example["type"], "org.osbuild.x");
        assert!(example["options"]["uuid"].is_string());
    }

    #[test]
    fn a_source_is_shown_below_its_name() {
        let guide = guide(
            ModuleKind::Source,
            &json!({
                "summary": "s", "description": [],
                "schema_2": {
                    "properties": {"items": {"type": "object", "minProperties": 1, "patternProperties": {
                        "^(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})$": {"type": "string"}
                    }, "additionalProperties": false}},
                    "required": ["items"]
                }
            }),
        );
        let example = guide.example.unwrap();
        let items = example["org.osbuild.x"]["items"].as_object().unwrap();
        assert_eq!(items.len(), 1);
    }
}
