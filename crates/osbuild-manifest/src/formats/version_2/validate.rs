//! What format 2 demands.

use std::sync::LazyLock;

use indexmap::IndexMap;

use crate::document::PathElement;
use crate::formats::checks::Checks;
use crate::manifest::Version;
use crate::module::{ModuleIndex, ModuleKind};
use crate::schema::Schema;
use crate::validate::{MANIFEST_SCHEMA_2, ValidationError};
use crate::value::{Object, Value};

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let schema = Value::from_json(MANIFEST_SCHEMA_2).expect("the built-in schema is JSON");
    Schema::compile(&schema).expect("the built-in schema is a schema")
});

/// Finds everything that is wrong (upstream: `formats/v2.py`, `validate`).
///
/// Where upstream's own validator dies of a malformed stage, device, input or mount, the error of the manifest's schema
/// stands, or is added where that schema has nothing to say.
pub(crate) fn validate(manifest: &Value, modules: &dyn ModuleIndex) -> Vec<ValidationError> {
    let mut checks = Checks::new(modules, Version::Two);
    let own = modules.manifest_schema(Version::Two);
    checks.schema(own.as_deref().unwrap_or(&SCHEMA), manifest, &[]);
    for (name, source) in manifest
        .get("sources")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        checks.module(
            ModuleKind::Source,
            &name.to_string_lossy(),
            source,
            &["sources".into(), name.into()],
        );
    }
    let pipelines = manifest
        .get("pipelines")
        .and_then(Value::as_array)
        .unwrap_or_default();
    for (index, pipeline) in pipelines.iter().enumerate() {
        validate_pipeline(&mut checks, pipeline, &["pipelines".into(), index.into()]);
    }
    checks.finish()
}

fn validate_pipeline(checks: &mut Checks<'_>, pipeline: &Value, path: &[PathElement]) {
    if let Some(pipeline) = pipeline.as_object() {
        // The schema has `type:` where it means `type`, and does not ask for a name; upstream dies of either.
        match pipeline.get("name") {
            None => checks.fail("'name' is a required property", path.to_vec()),
            Some(Value::String(_)) => {}
            Some(name) => {
                checks.fail(
                    format!("{} is not of type 'string'", name.to_python_repr()),
                    joined(path, ["name".into()]),
                );
            }
        }
    }
    let stages = pipeline
        .get("stages")
        .and_then(Value::as_array)
        .unwrap_or_default();
    for (index, stage) in stages.iter().enumerate() {
        validate_stage(
            checks,
            stage,
            &joined(path, ["stages".into(), index.into()]),
        );
    }
}

fn validate_stage(checks: &mut Checks<'_>, stage: &Value, path: &[PathElement]) {
    let Some(object) = stage.as_object() else {
        return;
    };
    if let Some(name) = object.get("type").and_then(Value::as_text) {
        checks.module(ModuleKind::Stage, &name.to_string_lossy(), stage, path);
    }
    for kind in [ModuleKind::Device, ModuleKind::Input, ModuleKind::Mount] {
        for (name, member) in members(checks, object, kind, path) {
            validate_member(
                checks,
                kind,
                member,
                &joined(path, [kind.folder().into(), name]),
            );
        }
    }
}

/// Gives the devices, inputs or mounts of a stage by name. Mounts are a list, but upstream names them by their names in
/// paths, and of those with one name sees the last.
fn members<'a>(
    checks: &mut Checks<'_>,
    stage: &'a Object,
    kind: ModuleKind,
    path: &[PathElement],
) -> IndexMap<PathElement, &'a Value> {
    let group = kind.folder();
    let expected = if kind == ModuleKind::Mount {
        "array"
    } else {
        "object"
    };
    let (members, found) = match stage.get(group) {
        None => return IndexMap::new(),
        Some(Value::Object(members)) => (
            members
                .iter()
                .map(|(name, member)| (name.into(), member))
                .collect(),
            "object",
        ),
        Some(Value::Array(items)) => (named(checks, items, &joined(path, [group.into()])), "array"),
        Some(_) => (IndexMap::new(), "other"),
    };
    if found != expected {
        // The schema of the manifest leaves the type of devices and inputs open.
        let message = format!(
            "{} is not of type '{expected}'",
            stage.get(group).unwrap_or(&Value::Null).to_python_repr()
        );
        checks.fail(message, joined(path, [group.into()]));
    }
    members
}

fn named<'a>(
    checks: &mut Checks<'_>,
    items: &'a [Value],
    path: &[PathElement],
) -> IndexMap<PathElement, &'a Value> {
    let mut named = IndexMap::new();
    for (index, item) in items.iter().enumerate() {
        if item.as_object().is_none() {
            checks.fail(
                format!("{} is not of type 'object'", item.to_python_repr()),
                joined(path, [index.into()]),
            );
        }
        if let Some(name) = item.get("name").and_then(name_in_path) {
            named.insert(name, item);
        }
    }
    named
}

/// A name as upstream puts it into a path; the schema of the manifest asks for a text.
fn name_in_path(name: &Value) -> Option<PathElement> {
    let number = || usize::try_from(name.as_i64()?).ok().map(PathElement::from);
    name.as_text().map(PathElement::from).or_else(number)
}

fn validate_member(
    checks: &mut Checks<'_>,
    kind: ModuleKind,
    member: &Value,
    path: &[PathElement],
) {
    if member.as_object().is_none() {
        return checks.fail(
            format!("{} is not of type 'object'", member.to_python_repr()),
            path.to_vec(),
        );
    }
    match member.get("type").and_then(Value::as_text) {
        Some(name) if !name.is_empty() => {
            checks.module(kind, &name.to_string_lossy(), member, path);
        }
        Some(_) => checks.fail("'' should be non-empty", joined(path, ["type".into()])),
        // Missing, or no string: the schema of the manifest says so.
        None => {}
    }
}

fn joined<const N: usize>(path: &[PathElement], more: [PathElement; N]) -> Vec<PathElement> {
    path.iter().cloned().chain(more).collect()
}
