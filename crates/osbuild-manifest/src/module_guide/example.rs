//! Makes a value that a schema allows.

use serde_json::{Map, Value};

use super::example_texts::candidates;
use crate::schema::Schema;

/// Schemas refer to themselves; examples end here.
const DEPTH: usize = 10;
/// Members that are shown although they need not be, where nothing has to be.
const OPTIONAL_MEMBERS: usize = 2;
/// The members of a use of a module that say how it is used; these are left out unless they have to be there.
const SERVICES: [&str; 3] = ["inputs", "devices", "mounts"];
/// A device that stages can use.
const DEVICE: &str = r#"{"type": "org.osbuild.loopback", "options": {"filename": "disk.img"}}"#;
/// The member that is shown although it need not be.
const OPTIONS: &str = "options";
/// The member that holds what references lead to.
const DEFINITIONS: &str = "definitions";

/// Makes an example; `is_allowed` has the last word.
pub(super) fn make(schema: &Value, is_allowed: &dyn Fn(&Value) -> bool) -> Option<Value> {
    [Extent::Rich, Extent::Bare]
        .into_iter()
        .filter_map(|extent| {
            Maker {
                root: schema,
                extent,
            }
            .whole(schema)
        })
        .find(is_allowed)
}

/// How much to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// Some members more than have to be there.
    Rich,
    /// What has to be there.
    Bare,
}

struct Maker<'a> {
    root: &'a Value,
    extent: Extent,
}

impl Maker<'_> {
    /// Makes a use of a module: options are shown, and services that it can not do without.
    fn whole(&self, schema: &Value) -> Option<Value> {
        let mut use_of_module = self.value(schema, "", DEPTH)?;
        let object = use_of_module.as_object_mut()?;
        let properties = &schema["properties"];
        for name in SERVICES {
            let has_required = properties.get(name).is_some_and(|service| {
                service["required"]
                    .as_array()
                    .is_some_and(|names| !names.is_empty())
            });
            if has_required && !object.contains_key(name) {
                let mut service = self.value(&properties[name], name, DEPTH)?;
                fill_devices(name, &mut service);
                object.insert(name.to_owned(), service);
            }
        }
        let options = properties
            .get(OPTIONS)
            .filter(|_| !object.contains_key(OPTIONS));
        if let Some(options) = options.and_then(|options| self.value(options, OPTIONS, DEPTH))
            && options
                .as_object()
                .is_some_and(|options| !options.is_empty())
        {
            object.insert(OPTIONS.to_owned(), options);
        }
        // The order of manifests that people write.
        let order = [
            "name",
            "type",
            "origin",
            "references",
            "items",
            "source",
            "target",
            OPTIONS,
        ];
        let mut sorted = Map::new();
        for name in order {
            if let Some(value) = object.shift_remove(name) {
                sorted.insert(name.to_owned(), value);
            }
        }
        sorted.append(object);
        Some(Value::Object(sorted))
    }

    /// Makes a value for a member of this name.
    fn value(&self, schema: &Value, name: &str, depth: usize) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        let schema = self.resolved(schema)?;
        if let Some(value) = given(schema) {
            return Some(value);
        }
        self.variants(schema, depth)?
            .iter()
            .filter_map(|variant| self.of_type(variant, name, depth))
            .find(|value| self.allows(schema, Some(value)))
    }

    /// Gives the schema with what each of its alternatives adds, and without any.
    fn variants(&self, schema: &Value, depth: usize) -> Option<Vec<Value>> {
        let mut base = schema.clone();
        for keyword in ["allOf", "oneOf", "anyOf"] {
            base.as_object_mut()?.remove(keyword);
        }
        let list = |keyword: &str| schema[keyword].as_array().cloned().unwrap_or_default();
        for part in list("allOf") {
            base = combined(&base, self.resolved(&part)?);
        }
        let mut variants = vec![base.clone()];
        for alternative in list("oneOf").iter().chain(&list("anyOf")) {
            let whole = combined(&base, self.resolved(alternative)?);
            // Alternatives have alternatives.
            if depth > 0 && (whole["oneOf"].is_array() || whole["anyOf"].is_array()) {
                variants.extend(self.variants(&whole, depth - 1)?);
            } else {
                variants.push(whole);
            }
        }
        Some(variants)
    }

    fn resolved<'s>(&'s self, schema: &'s Value) -> Option<&'s Value> {
        match schema["$ref"].as_str() {
            Some(reference) => self.root.pointer(reference.strip_prefix('#')?),
            None => Some(schema),
        }
    }

    fn of_type(&self, schema: &Value, name: &str, depth: usize) -> Option<Value> {
        let kind = match &schema["type"] {
            Value::String(kind) => kind.as_str(),
            Value::Array(kinds) => kinds
                .iter()
                .filter_map(Value::as_str)
                .find(|kind| *kind != "null")?,
            _ if schema["properties"].is_object() || schema["required"].is_array() => "object",
            _ if schema["items"].is_object() => "array",
            _ if schema["pattern"].is_string() => "string",
            _ => return None,
        };
        match kind {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, name, depth),
            "string" => candidates(name)
                .map(Value::from)
                .find(|text| self.allows(schema, Some(text))),
            "integer" | "number" => Some(number(schema)),
            "boolean" => Some(Value::Bool(true)),
            _ => Some(Value::Null),
        }
    }

    fn array(&self, schema: &Value, name: &str, depth: usize) -> Option<Value> {
        let least = schema["minItems"].as_u64().unwrap_or(1).max(1);
        if let Some(items) = schema["items"].as_array() {
            let items = items.iter().map(|item| self.value(item, name, depth));
            return items.collect::<Option<Vec<_>>>().map(Value::Array);
        }
        let item = self.value(&schema["items"], name, depth)?;
        Some((0..least).map(|_| item.clone()).collect())
    }

    fn object(&self, schema: &Value, depth: usize) -> Option<Value> {
        let mut object = Map::new();
        let required = schema["required"].as_array();
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            let member = &schema["properties"][name];
            object.insert(name.to_owned(), self.value(member, name, depth)?);
        }
        let mut wanted = schema["minProperties"].as_u64().unwrap_or(0) as usize;
        if self.extent == Extent::Rich && object.is_empty() {
            wanted = wanted.max(OPTIONAL_MEMBERS);
        }
        let is_top = depth + 1 == DEPTH && schema == self.root;
        let members = schema["properties"].as_object().into_iter().flatten();
        for (name, member) in members.filter(|_| !is_top) {
            if object.len() < wanted
                && !object.contains_key(name)
                && let Some(value) = self.value(member, name, depth)
            {
                object.insert(name.clone(), value);
            }
        }
        if object.is_empty() && !is_top {
            object.extend(self.any_member(schema, depth));
        }
        Some(Value::Object(object))
    }

    /// Makes a member whose name the schema leaves open.
    fn any_member(&self, schema: &Value, depth: usize) -> Option<(String, Value)> {
        let patterns = schema["patternProperties"]
            .as_object()
            .into_iter()
            .flatten();
        for (pattern, member) in patterns {
            let is_name = |text: &&str| {
                let schema = serde_json::json!({ "pattern": pattern });
                self.allows(&schema, Some(&Value::from(*text)))
            };
            if let (Some(name), Some(value)) =
                (candidates("").find(is_name), self.value(member, "", depth))
            {
                return Some((name.to_owned(), value));
            }
        }
        let member = Some(&schema["additionalProperties"]).filter(|member| member.is_object())?;
        Some(("example".to_owned(), self.value(member, "", depth)?))
    }

    /// Tells whether a schema that may refer to the definitions of the whole allows a value.
    fn allows(&self, schema: &Value, value: Option<&Value>) -> bool {
        let Some(value) = value else { return false };
        let mut schema = schema.clone();
        if let (Some(object), Some(definitions)) =
            (schema.as_object_mut(), self.root.get(DEFINITIONS))
        {
            object.insert(DEFINITIONS.to_owned(), definitions.clone());
        }
        Schema::compile(&crate::value::Value::from_serde(&schema))
            .is_ok_and(|schema| schema.allows(&crate::value::Value::from_serde(value)))
    }
}

/// Schemas of stages say little of devices: what a device takes is its own affair.
fn fill_devices(name: &str, service: &mut Value) {
    let devices = service.as_object_mut().filter(|_| name == "devices");
    for device in devices.into_iter().flat_map(Map::values_mut) {
        if device.as_object().is_some_and(Map::is_empty) {
            *device = serde_json::from_str(DEVICE).unwrap_or_default();
        }
    }
}

/// Gives a value that the schema itself names.
fn given(schema: &Value) -> Option<Value> {
    if let Some(values) = schema["examples"].as_array().or(schema["enum"].as_array()) {
        return values.first().cloned();
    }
    schema.get("const").or(schema.get("default")).cloned()
}

fn number(schema: &Value) -> Value {
    let least = schema["minimum"].as_i64().unwrap_or(1).max(1);
    let most = schema["maximum"].as_i64().unwrap_or(i64::MAX);
    Value::from(least.min(most))
}

/// Puts together what two schemas say of one value.
fn combined(one: &Value, other: &Value) -> Value {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else {
        return one.clone();
    };
    let mut whole = one.clone();
    for (keyword, value) in other {
        match (whole.get_mut(keyword), value) {
            (Some(Value::Object(members)), Value::Object(more)) => members.extend(more.clone()),
            (Some(Value::Array(names)), Value::Array(more)) if keyword == "required" => {
                names.extend(more.iter().cloned());
            }
            _ => {
                whole.insert(keyword.clone(), value.clone());
            }
        }
    }
    Value::Object(whole)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn example(schema: &Value) -> Option<Value> {
        let compiled = Schema::compile(&crate::value::Value::from_serde(schema)).unwrap();
        make(schema, &|value| {
            compiled.allows(&crate::value::Value::from_serde(value))
        })
    }

    #[test]
    fn what_has_to_be_there_is_and_some_options_are_shown() {
        let schema = json!({
            "type": "object", "required": ["type"], "additionalProperties": false,
            "properties": {
                "type": {"enum": ["org.osbuild.x"]},
                "mounts": {"type": "array"},
                "devices": {"type": "object", "required": ["device"], "properties": {
                    "device": {"type": "object", "additionalProperties": true}
                }},
                "options": {"type": "object", "additionalProperties": false, "properties": {
                    "hostname": {"type": "string"},
                    "mode": {"type": "string", "pattern": "^[0-7]{3}$"},
                    "rest": {"type": "boolean"}
                }}
            }
        });
        assert_eq!(
            example(&schema).unwrap(),
            json!({
                "type": "org.osbuild.x",
                "options": {"hostname": "server.example.com", "mode": "755"},
                "devices": {"device": {"type": "org.osbuild.loopback", "options": {"filename": "disk.img"}}}
            })
        );
    }

    #[test]
    fn alternatives_and_references_are_followed() {
        let schema = json!({
            "type": "object", "required": ["options"], "properties": {"options": {
                "type": "object",
                "oneOf": [
                    {"required": ["a"], "properties": {"a": {"$ref": "#/definitions/number"}}},
                    {"required": ["b"], "properties": {"b": {"type": "string"}}}
                ]
            }},
            "definitions": {"number": {"type": "integer", "minimum": 7}}
        });
        assert_eq!(example(&schema).unwrap(), json!({"options": {"a": 7}}));
    }

    #[test]
    fn no_example_is_better_than_a_wrong_one() {
        let schema = json!({
            "type": "object", "required": ["x"],
            "properties": {"x": {"type": "string", "pattern": "^no text of ours$"}}
        });
        assert_eq!(example(&schema), None);
    }
}
