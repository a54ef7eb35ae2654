//! Every schema in upstream's tree, with thousands of right and wrong values: the same verdicts, paths and words as
//! upstream's own validator.
//!
//! Needs `UPSTREAM`, a checkout, and `UPSTREAM_PYTHON`, a Python with jsonschema 4.2x.
//! `OSBUILD_VALUES` says how many values to try for each schema.

#![expect(clippy::unwrap_used, reason = "in a helper, too, it fails the test")]

mod directory_index;
mod upstream_checkout;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use directory_index::DirectoryIndex;
use osbuild_manifest::document::path_value;
use osbuild_manifest::manifest::Version;
use osbuild_manifest::module::{ModuleIndex, ModuleKind};
use osbuild_manifest::schema::{Schema, SchemaError, Violation};
use osbuild_manifest::validate::{MANIFEST_SCHEMA_1, MANIFEST_SCHEMA_2};
use osbuild_manifest::value::Value;
use upstream_checkout::{required, upstream};

#[test]
#[ignore = "compares with upstream: needs its checkout in UPSTREAM and a Python with jsonschema in UPSTREAM_PYTHON"]
fn violations_are_those_of_upstream() {
    let root = upstream();
    let python = required("UPSTREAM_PYTHON", "a Python with jsonschema");
    let count = std::env::var("OSBUILD_VALUES").unwrap_or_else(|_| "20".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/validator_upstream.py");
    let output = Command::new(python)
        .arg(script)
        .arg(&root)
        .arg(count)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    let modules = DirectoryIndex::new(&root);
    let (mut values, mut invalid, mut different) = (0, 0, Vec::new());
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let case = Value::from_json(line).unwrap();
        values += 1;
        invalid += usize::from(
            case.get("errors")
                .and_then(Value::as_array)
                .is_some_and(|errors| !errors.is_empty()),
        );
        different.extend(difference(&modules, &case));
    }
    println!(
        "{values} values, {invalid} of them wrong, {} judged differently",
        different.len()
    );
    different.truncate(20);
    assert_eq!(different, Vec::<String>::new());
}

fn difference(modules: &DirectoryIndex, case: &Value) -> Option<String> {
    let expected = match case.get("errors")? {
        Value::Null => None,
        errors => Some(
            errors
                .as_array()?
                .iter()
                .map(Value::to_python_json)
                .collect::<BTreeSet<_>>(),
        ),
    };
    let found = violations(modules, case)
        .ok()
        .map(|violations| violations.iter().map(as_listed).collect::<BTreeSet<_>>());
    (expected != found).then(|| {
        format!(
            "{}\n  expected {expected:?}\n  found {found:?}",
            case.to_python_json()
        )
    })
}

fn as_listed(violation: &Violation) -> String {
    Value::from(vec![
        path_value(&violation.path),
        Value::from(violation.message.as_str()),
    ])
    .to_python_json()
}

fn violations(modules: &DirectoryIndex, case: &Value) -> Result<Vec<Violation>, SchemaError> {
    let text = |key: &str| case.get(key).and_then(Value::as_str).unwrap();
    let value = case.get("value").unwrap();
    let kind = match (text("kind"), text("version")) {
        ("Manifest", "1") => {
            return built_in(MANIFEST_SCHEMA_1).map(|schema| schema.violations(value));
        }
        ("Manifest", _) => {
            return built_in(MANIFEST_SCHEMA_2).map(|schema| schema.violations(value));
        }
        ("Stage", _) => ModuleKind::Stage,
        ("Assembler", _) => ModuleKind::Assembler,
        ("Source", _) => ModuleKind::Source,
        ("Input", _) => ModuleKind::Input,
        ("Device", _) => ModuleKind::Device,
        ("Mount", _) => ModuleKind::Mount,
        (other, _) => panic!("{other}"),
    };
    let version = if text("version") == "1" {
        Version::One
    } else {
        Version::Two
    };
    let module = modules.module(kind, text("name")).unwrap();
    Ok(module.compiled_schema(version)?.violations(value))
}

fn built_in(text: &str) -> Result<Schema, SchemaError> {
    Schema::compile(&Value::from_json(text).unwrap())
}
