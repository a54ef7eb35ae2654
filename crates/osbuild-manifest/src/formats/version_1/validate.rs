//! What format 1 demands.

use std::sync::LazyLock;

use crate::document::PathElement;
use crate::formats::checks::Checks;
use crate::manifest::Version;
use crate::module::{ModuleIndex, ModuleKind};
use crate::schema::Schema;
use crate::validate::{MANIFEST_SCHEMA_1, ValidationError};
use crate::value::{Text, Value};

use super::{CURL, FILES};

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let schema = Value::from_json(MANIFEST_SCHEMA_1).expect("the built-in schema is JSON");
    Schema::compile(&schema).expect("the built-in schema is a schema")
});

/// Finds everything that is wrong (upstream: `formats/v1.py`, `validate`). The schema of the manifest covers the nested
/// build pipelines, which upstream checks once more, with the same result.
pub(crate) fn validate(manifest: &Value, modules: &dyn ModuleIndex) -> Vec<ValidationError> {
    let mut checks = Checks::new(modules, Version::One);
    let own = modules.manifest_schema(Version::One);
    checks.schema(own.as_deref().unwrap_or(&SCHEMA), manifest, &[]);
    let mut path: Vec<PathElement> = vec!["pipeline".into()];
    let mut next = manifest.get("pipeline");
    while let Some(pipeline) = next {
        validate_pipeline(&mut checks, pipeline, &path);
        next = pipeline
            .get("build")
            .and_then(|build| build.get("pipeline"));
        path.extend(["build".into(), "pipeline".into()]);
    }
    for (name, source) in manifest
        .get("sources")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        validate_source(&mut checks, name, source);
    }
    checks.finish()
}

fn validate_pipeline(checks: &mut Checks<'_>, pipeline: &Value, path: &[PathElement]) {
    let stages = pipeline
        .get("stages")
        .and_then(Value::as_array)
        .unwrap_or_default();
    for (index, stage) in stages.iter().enumerate() {
        let path: Vec<_> = path
            .iter()
            .cloned()
            .chain(["stages".into(), index.into()])
            .collect();
        validate_step(checks, ModuleKind::Stage, stage, &path);
    }
    if let Some(assembler) = pipeline.get("assembler") {
        let path: Vec<_> = path.iter().cloned().chain(["assembler".into()]).collect();
        validate_step(checks, ModuleKind::Assembler, assembler, &path);
    }
}

/// Without a name that is a string, the schema of the manifest has said what is wrong.
fn validate_step(checks: &mut Checks<'_>, kind: ModuleKind, step: &Value, path: &[PathElement]) {
    if let Some(name) = step.get("name").and_then(Value::as_text) {
        checks.module(kind, &name.to_string_lossy(), step, path);
    }
}

fn validate_source(checks: &mut Checks<'_>, name: &Text, source: &Value) {
    // Upstream shows the name of the module in the path, not the one that is written.
    let module = if *name == FILES {
        CURL.into()
    } else {
        name.to_string_lossy()
    };
    let path: [PathElement; 2] = ["sources".into(), module.as_ref().into()];
    checks.module(ModuleKind::Source, &module, source, &path);
}
