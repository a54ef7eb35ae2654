//! What holds for every stage and assembler: names, files, and options that agree with the published schema.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use osbuild_stage_api::StageModule;
use osbuild_stage_api::option_shape::OptionShape;
use serde_json::Value;

use crate::{ASSEMBLERS, STAGES};

#[test]
fn the_tables_are_sorted_and_have_no_name_twice() {
    for pair in STAGES.windows(2).chain(ASSEMBLERS.windows(2)) {
        assert!(
            pair[0].name < pair[1].name,
            "{} comes before {}",
            pair[0].name,
            pair[1].name
        );
    }
}

#[test]
fn every_pair_of_files_is_in_its_table_and_named_after_its_module() {
    compare_files("stages", STAGES);
    compare_files("assemblers", ASSEMBLERS);
}

fn compare_files(folder: &str, table: &[StageModule]) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src")
        .join(folder);
    let files: Vec<PathBuf> = fs_err::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let with_suffix = |suffix: &str| -> BTreeSet<String> {
        let names = files
            .iter()
            .filter(|file| file.is_file())
            .map(|file| file.file_name().unwrap().to_str().unwrap());
        names
            .filter_map(|name| name.strip_suffix(suffix).map(str::to_owned))
            .collect()
    };
    let expected: BTreeSet<_> = table.iter().map(|module| file_stem(module.name)).collect();
    for suffix in [".rs", ".meta.json"] {
        assert_eq!(
            with_suffix(suffix),
            expected,
            "{folder}/*{suffix} and the table"
        );
    }
}

fn file_stem(name: &str) -> String {
    name.strip_prefix("org.osbuild.")
        .unwrap()
        .replace(['.', '-'], "_")
}

#[test]
fn every_description_has_the_published_form() {
    for stage in STAGES.iter().chain(ASSEMBLERS) {
        let meta = meta(stage);
        let known = [
            "summary",
            "description",
            "capabilities",
            "schema",
            "schema_2",
        ];
        for key in meta.as_object().unwrap().keys() {
            assert!(known.contains(&key.as_str()), "{}: `{key}`", stage.name);
        }
        assert!(meta["summary"].is_string(), "{}: summary", stage.name);
        let lines = meta["description"].as_array().unwrap();
        assert!(
            !lines.is_empty() && lines.iter().all(Value::is_string),
            "{}: description",
            stage.name
        );
        assert!(
            meta.get("schema").is_some() || meta.get("schema_2").is_some(),
            "{}: schema",
            stage.name
        );
        let capabilities = meta
            .get("capabilities")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for capability in capabilities {
            assert!(
                capability.as_str().unwrap().starts_with("CAP_"),
                "{}: {capability}",
                stage.name
            );
        }
    }
}

#[test]
fn every_stage_reads_the_options_that_its_schema_lists() {
    for stage in STAGES.iter().chain(ASSEMBLERS) {
        let meta = meta(stage);
        let root = meta
            .get("schema_2")
            .map_or_else(|| &meta["schema"], |schema| &schema["options"]);
        match (stage.option_shape)() {
            None => assert_ne!(
                root.get("additionalProperties"),
                Some(&Value::Bool(false)),
                "{}",
                stage.name
            ),
            Some(shape) => compare(stage, &meta, root, &shape),
        }
    }
}

fn compare(stage: &StageModule, meta: &Value, root: &Value, shape: &OptionShape) {
    for (path, fields) in shape {
        let mut nodes = alternatives(meta, root);
        for step in path.split('.').filter(|step| !step.is_empty()) {
            nodes = nodes
                .iter()
                .flat_map(|node| children(node, step))
                .flat_map(|child| alternatives(meta, child))
                .collect();
        }
        let listed = nodes
            .iter()
            .filter_map(|node| node.get("properties")?.as_object())
            .flat_map(|map| map.keys());
        let listed: BTreeSet<&str> = listed.map(String::as_str).collect();
        assert_eq!(
            *fields, listed,
            "{}: options at `{path}`: those read, and those of the schema",
            stage.name
        );
    }
}

/// A schema node and all that may stand in for it.
fn alternatives<'a>(meta: &'a Value, node: &'a Value) -> Vec<&'a Value> {
    let mut found = vec![node];
    if let Some(name) = node.get("$ref").and_then(Value::as_str) {
        found.extend(alternatives(meta, definition(meta, name)));
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        let nodes = node
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        found.extend(nodes.flat_map(|node| alternatives(meta, node)));
    }
    found
}

/// `#/definitions/...` is at the top of the schema that is put together, and so may be in either place here.
fn definition<'a>(meta: &'a Value, reference: &str) -> &'a Value {
    let name = reference.strip_prefix("#/definitions/").unwrap();
    let places = [
        &meta["schema_2"]["options"],
        &meta["schema_2"],
        &meta["schema"],
    ];
    places
        .into_iter()
        .find_map(|place| place.get("definitions")?.get(name))
        .unwrap()
}

/// What a field, or `*` for an item of a list or a map, is described by.
fn children<'a>(node: &'a Value, step: &str) -> Vec<&'a Value> {
    if step != "*" {
        return node
            .get("properties")
            .and_then(|properties| properties.get(step))
            .into_iter()
            .collect();
    }
    let single = ["items", "additionalProperties"]
        .into_iter()
        .filter_map(|key| node.get(key));
    let maps = ["patternProperties", "properties"]
        .into_iter()
        .filter_map(|key| node.get(key)?.as_object());
    single
        .filter(|child| child.is_object())
        .chain(maps.flat_map(|map| map.values()))
        .collect()
}

fn meta(stage: &StageModule) -> Value {
    serde_json::from_str(stage.meta).unwrap_or_else(|error| panic!("{}: {error}", stage.name))
}
