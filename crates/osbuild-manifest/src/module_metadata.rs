//! Module metadata: from the text of a `meta.json` to [`ModuleInfo`], and from there to the schema that validates a use
//! of the module in a manifest.

use std::fmt;
use std::sync::LazyLock;

use crate::document::{SyntaxError, path_id};
use crate::manifest::Version;
use crate::module::{Compiled, ModuleInfo, ModuleKind};
use crate::schema::{Schema, SchemaError};
use crate::value::{Object, Text, Value};

/// What a `meta.json` must look like (upstream: `META_JSON_SCHEMA`).
static META_SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let text = include_str!("../schemas/meta.json");
    let schema = Value::from_json(text).expect("the built-in schema is JSON");
    Schema::compile(&schema).expect("the built-in schema is a schema")
});

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
        let problems = META_SCHEMA.violations(&value);
        if !problems.is_empty() {
            let problems = problems
                .iter()
                .map(|problem| format!("{}: {}", path_id(&problem.path), problem.message));
            return Err(MetadataError::Shape(
                problems.collect::<Vec<_>>().join("; "),
            ));
        }
        let strings = |member: &str| value.get(member).map(strings).unwrap_or_default();
        Ok(Self {
            name: name.to_owned(),
            kind,
            schema: value.get("schema").cloned(),
            schema_2: value.get("schema_2").cloned(),
            capabilities: strings("capabilities"),
            summary: value
                .get("summary")
                .and_then(Value::as_text)
                .map(Text::to_string)
                .unwrap_or_default(),
            description: strings("description").join("\n"),
            compiled: Compiled::default(),
        })
    }

    /// Puts together the schema that validates a use of the module (upstream: `ModuleInfo.get_schema`).
    pub(crate) fn assembled_schema(&self, version: Version) -> Result<Value, SchemaError> {
        let mut schema = Object::new();
        schema.insert(
            "title",
            Value::from(format!("Pipeline {}", self.kind.class())),
        );
        schema.insert("type", Value::from("object"));
        schema.insert("additionalProperties", Value::from(false));
        match self.kind {
            ModuleKind::Stage | ModuleKind::Assembler => {
                self.add_stage_members(&mut schema, version)?;
            }
            ModuleKind::Device => {
                let options = self.schema_of(version)?.clone();
                schema.insert("additionalProperties", Value::from(true));
                let properties =
                    Object::from_iter([("type", self.name_schema()), ("options", options.into())]);
                schema.insert("properties", properties.into());
            }
            ModuleKind::Mount => {
                schema.extend(self.own_schema(self.schema_2.as_ref(), version)?.clone());
                let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut)
                else {
                    return Err(SchemaError::new("the schema of a mount needs `properties`"));
                };
                properties.insert("type", self.name_schema());
            }
            ModuleKind::Input | ModuleKind::Source | ModuleKind::Runner => {
                schema.extend(self.schema_of(version)?.clone());
            }
        }
        move_definitions_up(&mut schema);
        Ok(Value::Object(schema))
    }

    fn add_stage_members(&self, schema: &mut Object, version: Version) -> Result<(), SchemaError> {
        let name_member = match version {
            Version::One => "name",
            Version::Two => "type",
        };
        let mut properties = Object::from_iter([(name_member, self.name_schema())]);
        match self
            .schema_2
            .as_ref()
            .filter(|schema| version == Version::Two && schema.is_truthy())
        {
            Some(Value::Object(members)) => properties.extend(members.clone()),
            Some(_) => return Err(SchemaError::new("`schema_2` is not an object")),
            None => {
                let options = self.schema.clone().unwrap_or_else(|| Object::new().into());
                properties.insert("options", options);
            }
        }
        if !properties.contains_key("mounts") {
            properties.insert(
                "mounts",
                Object::from_iter([("type", Value::from("array"))]).into(),
            );
        }
        if !properties.contains_key("devices") {
            let any = [
                ("type", Value::from("object")),
                ("additionalProperties", Value::from(true)),
            ];
            properties.insert("devices", Object::from_iter(any).into());
        }
        schema.insert("properties", properties.into());
        schema.insert("required", vec![Value::from(name_member)].into());
        Ok(())
    }

    fn name_schema(&self) -> Value {
        let names = vec![Value::from(self.name.as_str())];
        Object::from_iter([("enum", Value::from(names))]).into()
    }

    /// Gives the schema for a format; that of format 1 serves format 2 if there is no other.
    fn schema_of(&self, version: Version) -> Result<&Object, SchemaError> {
        let newer = self
            .schema_2
            .as_ref()
            .filter(|schema| version == Version::Two && schema.is_truthy());
        self.own_schema(newer.or(self.schema.as_ref()), version)
    }

    fn own_schema<'a>(
        &self,
        schema: Option<&'a Value>,
        version: Version,
    ) -> Result<&'a Object, SchemaError> {
        schema
            .and_then(Value::as_object)
            .filter(|schema| !schema.is_empty())
            .ok_or_else(|| {
                let version = match version {
                    Version::One => 1,
                    Version::Two => 2,
                };
                let (noun, name) = (self.kind.noun(), &self.name);
                SchemaError::new(format!(
                    "the {noun} '{name}' can not be used in manifests of format {version}"
                ))
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

/// A module writes its references as if its own part were the whole schema (`#/definitions/…`).
fn move_definitions_up(schema: &mut Object) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    let of_members = properties.remove("definitions");
    let options = properties.get_mut("options").and_then(Value::as_object_mut);
    let of_options = options.and_then(|options| options.remove("definitions"));
    if let Some(definitions) = of_options.or(of_members) {
        schema.insert("definitions", definitions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assembled(kind: ModuleKind, version: Version, meta: &str) -> String {
        let meta = format!(r#"{{"summary": "s", "description": [], {meta}}}"#);
        let module = ModuleInfo::from_meta_json(kind, "x", &meta).unwrap();
        module
            .assembled_schema(version)
            .map_or_else(|error| error.to_string(), |schema| schema.to_python_json())
    }

    const MOUNTS: &str = r#""mounts": {"type": "array"}, "devices": {"type": "object", "additionalProperties": true}"#;
    const START: &str = r#""type": "object", "additionalProperties": false"#;

    #[test]
    fn a_stage_of_format_1() {
        let meta =
            r#""schema": {"type": "object", "definitions": {"d": {}}}, "schema_2": {"inputs": {}}"#;
        let expected = format!(
            r#"{{"title": "Pipeline Stage", {START}, "properties": {{"name": {{"enum": ["x"]}}, "options": {{"type": "object"}}, {MOUNTS}}}, "required": ["name"], "definitions": {{"d": {{}}}}}}"#
        );
        assert_eq!(assembled(ModuleKind::Stage, Version::One, meta), expected);
    }

    #[test]
    fn a_stage_of_format_2() {
        let meta = r#""schema_2": {"options": {}, "devices": {"type": "object"}, "definitions": {"d": {}}}"#;
        let expected = format!(
            r#"{{"title": "Pipeline Stage", {START}, "properties": {{"type": {{"enum": ["x"]}}, "options": {{}}, "devices": {{"type": "object"}}, "mounts": {{"type": "array"}}}}, "required": ["type"], "definitions": {{"d": {{}}}}}}"#
        );
        assert_eq!(assembled(ModuleKind::Stage, Version::Two, meta), expected);
    }

    #[test]
    fn a_device_falls_back_to_format_1_and_a_mount_does_not() {
        assert_eq!(
            assembled(
                ModuleKind::Device,
                Version::Two,
                r#""schema": {"type": "object"}"#
            ),
            r#"{"title": "Pipeline Device", "type": "object", "additionalProperties": true, "properties": {"type": {"enum": ["x"]}, "options": {"type": "object"}}}"#
        );
        assert_eq!(
            assembled(
                ModuleKind::Mount,
                Version::Two,
                r#""schema": {"properties": {}}"#
            ),
            "the mount 'x' can not be used in manifests of format 2"
        );
        assert_eq!(
            assembled(
                ModuleKind::Mount,
                Version::Two,
                r#""schema_2": {"additionalProperties": true, "properties": {"type": {"type": "string"}}}"#
            ),
            r#"{"title": "Pipeline Mount", "type": "object", "additionalProperties": true, "properties": {"type": {"enum": ["x"]}}}"#
        );
    }

    #[test]
    fn metadata_of_another_shape_is_refused() {
        for (text, expected) in [
            (
                "{",
                "not valid JSON: line 1, column 2: expected a key in double quotes",
            ),
            ("[]", ".: [] is not of type 'object'"),
        ] {
            let error = ModuleInfo::from_meta_json(ModuleKind::Stage, "x", text).unwrap_err();
            assert_eq!(error.to_string(), expected, "{text}");
        }
        for text in [
            r#"{"summary": "s", "description": []}"#,
            r#"{"summary": 1, "description": [], "schema": {}}"#,
            r#"{"summary": "s", "description": "d", "schema": {}}"#,
            r#"{"summary": "s", "description": [], "schema": {}, "other": 1}"#,
            r#"{"summary": "s", "description": [], "schema": []}"#,
            r#"{"summary": "s", "description": [], "schema": {}, "capabilities": [1]}"#,
        ] {
            let result = ModuleInfo::from_meta_json(ModuleKind::Stage, "x", text);
            assert!(matches!(result, Err(MetadataError::Shape(_))), "{text}");
        }
    }
}
