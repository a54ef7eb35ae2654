//! What manifests mean, and what is said of those that can not be built.

#![expect(clippy::unwrap_used, reason = "in a helper, too, it fails the test")]

mod any_module;

use any_module::AnyModule;
use osbuild_manifest::checkpoint::matching_stages;
use osbuild_manifest::document::parse;
use osbuild_manifest::inspect::inspect;
use osbuild_manifest::manifest::{Manifest, Version};
use osbuild_manifest::resolve::{ResolveError, resolve};
use osbuild_manifest::value::Value;

fn resolving(text: &str) -> Result<Manifest, ResolveError> {
    resolve(
        &Value::from_json(text).unwrap(),
        &AnyModule,
        "org.osbuild.linux",
    )
}

fn pipelines(pipelines: &str) -> String {
    format!(r#"{{"version": "2", "pipelines": [{pipelines}]}}"#)
}

fn stage(members: &str) -> String {
    pipelines(&format!(
        r#"{{"name": "t", "stages": [{{"type": "x", {members}}}]}}"#
    ))
}

#[test]
fn errors_name_the_place() {
    for (text, expected) in [
        (pipelines(r#"{"name": "a"}, {"name": "a"}"#), ".pipelines[1].name: there is another pipeline with the name 'a'"),
        (
            pipelines(r#"{"name": "tree", "build": "name:biuld"}, {"name": "build"}"#),
            ".pipelines[0].build: Unknown pipeline reference: name:biuld; a pipeline can only use earlier ones",
        ),
        (
            pipelines(r#"{"name": "build"}, {"name": "tree", "build": "name:biuld"}"#),
            ".pipelines[1].build: Unknown pipeline reference: name:biuld; a pipeline can only use earlier ones (did you mean 'name:build'?)",
        ),
        (pipelines(r#"{"name": "t", "runner": "org.osbuild.arch"}"#), ".pipelines[0].runner: No suitable runner for org.osbuild.arch"),
        (pipelines(r#"{"name": "t", "source-epoch": 99999999999999999999}"#), ".pipelines[0].source-epoch: the epoch is not a number of seconds"),
        (pipelines("{}"), ".pipelines[0]: 'name' is a required property"),
        (pipelines(r#"{"name": "\ud800"}"#), ".pipelines[0].name: '\\ud800' is not a Unicode string"),
        (pipelines("7"), ".pipelines[0]: 7 is not a map"),
        (
            stage(r#""devices": {"a": {"type": "d", "parent": "b"}}"#),
            ".pipelines[0].stages[0].devices.a.parent: Missing parent device 'b' for 'a'",
        ),
        (
            stage(r#""devices": {"c": {"type": "d"}, "a": {"type": "d", "parent": "b"}, "b": {"type": "d", "parent": "a"}}"#),
            ".pipelines[0].stages[0].devices.a: Cycle detected in 'devices'",
        ),
        (
            stage(r#""mounts": [{"name": "m", "type": "x"}, {"name": "m", "type": "x"}]"#),
            ".pipelines[0].stages[0].mounts[1].name: Duplicated mount 'm'",
        ),
        (
            stage(r#""mounts": [{"name": "m", "type": "x", "source": "d"}]"#),
            ".pipelines[0].stages[0].mounts[0].source: Unknown device 'd' for mount 'm'",
        ),
        (
            stage(r#""inputs": {"i": {"type": "x", "origin": "org.osbuild.source", "references": ["a"]}}"#),
            ".pipelines[0].stages[0].inputs.i.references[0]: Unknown source reference: no source has an item 'a'",
        ),
        (
            stage(r#""inputs": {"i": {"type": "x", "origin": "org.osbuild.pipeline", "references": {"name:t": {}}}}"#),
            ".pipelines[0].stages[0].inputs.i.references.name:t: Unknown pipeline reference: name:t; a pipeline can only use earlier ones",
        ),
        (r#"{"version": "3"}"#.to_owned(), ".version: unsupported manifest format"),
        (r#"{"sources": {"x": {}}}"#.to_owned(), ".sources.x: Unknown source type: x"),
        (
            r#"{"pipeline": {"build": {"pipeline": {}, "runner": "org.osbuild.fedora1"}}}"#.to_owned(),
            ".pipeline.build.runner: No suitable runner for org.osbuild.fedora1",
        ),
        (
            r#"{"pipeline": {"stages": [{"name": "org.osbuild.rpm", "options": {"packages": [{}]}}]}}"#.to_owned(),
            ".pipeline.stages[0].options.packages[0]: 'checksum' is a required property",
        ),
    ] {
        assert_eq!(resolving(&text).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn every_place_in_an_error_can_be_shown() {
    let text = stage(r#""mounts": [{"name": "m", "type": "x", "source": "nowhere"}]"#);
    let document = parse(&text).unwrap();
    let error = resolve(&document.value, &AnyModule, "org.osbuild.linux").unwrap_err();
    let position = document.positions.locate(&error.path).unwrap();
    assert_eq!(&text[position.offset..][..position.length], "\"nowhere\"");
}

#[test]
fn the_runner_is_that_of_the_build_pipeline() {
    let manifest = resolving(&pipelines(
        r#"{"name": "build", "runner": "org.osbuild.fedora40", "stages": [{"type": "x"}]},
           {"name": "tree", "build": "name:build", "runner": "org.osbuild.linux1", "stages": [{"type": "y"}]},
           {"name": "empty"}, {"name": "last", "build": "name:empty", "stages": [{"type": "z"}]}"#,
    ))
    .unwrap();
    let runners: Vec<_> = manifest
        .pipelines
        .iter()
        .map(|pipeline| {
            (
                pipeline.name.as_str(),
                pipeline.runner.requested.as_str(),
                pipeline.runner.file_name.as_str(),
            )
        })
        .collect();
    assert_eq!(
        runners,
        [
            ("build", "org.osbuild.linux", "org.osbuild.linux"),
            ("tree", "org.osbuild.fedora40", "org.osbuild.fedora38"),
            ("empty", "org.osbuild.linux", "org.osbuild.linux"),
            // A pipeline without stages has no id, so a build by it is a build by the host.
            ("last", "org.osbuild.linux", "org.osbuild.linux"),
        ]
    );
    assert_eq!(manifest.pipelines[3].build, None);
    assert_eq!(manifest.find_pipeline("tree"), Some(1));
    assert_eq!(
        manifest.find_pipeline(manifest.pipelines[0].id().unwrap().as_str()),
        Some(0)
    );
    assert_eq!(manifest.find_pipeline("nobody"), None);
}

#[test]
fn a_reference_that_is_not_by_name_is_ignored_with_a_warning() {
    let manifest = resolving(&pipelines(
        r#"{"name": "a", "stages": [{"type": "x"}]},
           {"name": "b", "stages": [{"type": "x", "inputs": {"i": {"type": "org.osbuild.tree",
            "origin": "org.osbuild.pipeline", "references": ["a", "name:a"]}}}]}"#,
    ))
    .unwrap();
    let id = manifest.pipelines[0].id().unwrap().as_str();
    let stage = &manifest.pipelines[1].stages[0];
    assert_eq!(stage.pipeline_references().collect::<Vec<_>>(), [id]);
    let [warning] = manifest.warnings.as_slice() else {
        panic!("{:?}", manifest.warnings)
    };
    assert_eq!(
        warning.message,
        "the reference 'a' is ignored, since it does not begin with 'name:'"
    );
    assert_eq!(
        osbuild_manifest::document::path_id(&warning.path),
        ".pipelines[1].stages[0].inputs.i.references[0]"
    );
}

#[test]
fn inspection_of_format_2() {
    let manifest = resolving(
        r#"{"version": "2",
            "metadata": {"generators": [{"name": "g"}]},
            "sources": {"org.osbuild.curl": {"items": {"sha256:a": "u"}, "options": {"o": 1}}},
            "pipelines": [
              {"name": "build", "runner": "org.osbuild.fedora38", "source-epoch": 1, "stages": [{"type": "x", "options": {}}]},
              {"name": "tree", "build": "name:build", "stages": [{"type": "y", "options": {"n": 1.0},
                "devices": {"b": {"type": "d", "parent": "a"}, "a": {"type": "d", "options": {"f": 1}}},
                "mounts": [{"name": "m", "type": "ext4", "source": "a", "partition": 2}, {"name": "n", "type": "bind", "target": "", "partition": 0}],
                "inputs": {"i": {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [{"id": "sha256:a"}]},
                           "j": {"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline", "references": []}}}]},
              {"name": "empty"}]}"#,
    )
    .unwrap();
    assert_eq!(manifest.version, Version::Two);
    let [build, tree] = [0, 1].map(|index| manifest.pipelines[index].id().unwrap().as_str());
    let expected = format!(
        r#"{{"version": "2", "pipelines": [{{"name": "build", "runner": "org.osbuild.fedora38", "stages": [{{"type": "x", "id": "{build}"}}]}}, {{"name": "tree", "build": "{build}", "stages": [{{"type": "y", "id": "{tree}", "options": {{"n": 1.0}}, "devices": {{"a": {{"type": "d", "options": {{"f": 1}}}}, "b": {{"type": "d"}}}}, "mounts": [{{"name": "m", "type": "ext4", "target": null, "source": "a", "partition": 2}}, {{"name": "n", "type": "bind", "target": ""}}], "inputs": {{"i": {{"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": {{"sha256:a": {{}}}}}}, "j": {{"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline"}}}}}}]}}, {{"name": "empty"}}], "metadata": {{"generators": [{{"name": "g"}}]}}, "sources": {{"org.osbuild.curl": {{"items": {{"sha256:a": "u"}}}}}}}}"#
    );
    assert_eq!(inspect(&manifest).to_python_json(), expected);
}

#[test]
fn inspection_of_format_1() {
    let manifest = resolving(
        r#"{"sources": {"org.osbuild.files": {"urls": {"sha256:a": "u"}}},
            "pipeline": {
              "build": {"runner": "org.osbuild.fedora40", "pipeline": {
                "build": {"runner": "org.osbuild.linux", "pipeline": {"stages": [{"name": "i"}]}},
                "stages": [{"name": "x"}]}},
              "stages": [{"name": "org.osbuild.rpm", "options": {"packages": ["sha256:a", {"checksum": "sha256:b", "check_gpg": true}]}}],
              "assembler": {"name": "org.osbuild.tar", "options": {"filename": "f"}}}}"#,
    )
    .unwrap();
    let names: Vec<_> = manifest
        .pipelines
        .iter()
        .map(|pipeline| pipeline.name.as_str())
        .collect();
    assert_eq!(names, ["build-build", "build", "tree", "assembler"]);
    let ids: Vec<_> = manifest
        .pipelines
        .iter()
        .map(|pipeline| pipeline.id().unwrap().as_str())
        .collect();
    let packages = &manifest.pipelines[2].stages[0].inputs["packages"];
    let references: Vec<_> = packages
        .references
        .iter()
        .map(|(name, options)| (name.as_str(), options.to_python_json()))
        .collect();
    assert_eq!(
        references,
        [
            ("sha256:a", "{}".to_owned()),
            (
                "sha256:b",
                r#"{"metadata": {"rpm.check_gpg": true}}"#.to_owned()
            )
        ]
    );
    assert_eq!(
        manifest.pipelines[3].stages[0]
            .pipeline_references()
            .collect::<Vec<_>>(),
        [ids[2]]
    );
    assert_eq!(manifest.pipelines[3].stages[0].base, None);
    assert_eq!(manifest.sources[0].name, "org.osbuild.curl");
    let expected = format!(
        r#"{{"pipeline": {{"build": {{"pipeline": {{"build": {{"pipeline": {{"stages": [{{"name": "i", "id": "{}"}}]}}, "runner": "org.osbuild.linux"}}, "stages": [{{"name": "x", "id": "{}"}}]}}, "runner": "org.osbuild.fedora40"}}, "stages": [{{"name": "org.osbuild.rpm", "options": {{"packages": ["sha256:a", {{"checksum": "sha256:b", "check_gpg": true}}]}}, "id": "{}"}}], "assembler": {{"name": "org.osbuild.tar", "options": {{"filename": "f"}}, "id": "{}"}}}}, "sources": {{"org.osbuild.files": {{"urls": {{"sha256:a": "u"}}}}}}}}"#,
        ids[0], ids[1], ids[2], ids[3]
    );
    assert_eq!(inspect(&manifest).to_python_json(), expected);
}

#[test]
fn checkpoints_are_names_and_ids_of_pipelines_and_stages() {
    let manifest = resolving(&pipelines(
        r#"{"name": "one", "stages": [{"type": "org.osbuild.a"}, {"type": "org.osbuild.b"}]},
           {"name": "two", "stages": [{"type": "org.osbuild.c"}]}, {"name": "empty"}"#,
    ))
    .unwrap();
    let ids: Vec<_> = manifest
        .pipelines
        .iter()
        .flat_map(|pipeline| &pipeline.stages)
        .map(|stage| stage.id.clone())
        .collect();
    let selected = |pattern: &str| {
        let found = matching_stages(&manifest, &[pattern]);
        ids.iter().map(|id| found.contains(id)).collect::<Vec<_>>()
    };
    assert_eq!(selected("one"), [false, true, false]);
    assert_eq!(selected("org.osbuild.[ac]"), [true, false, true]);
    assert_eq!(selected(&ids[0].as_str()[..20]), [false, false, false]);
    assert_eq!(
        selected(&format!("{}*", &ids[0].as_str()[..20])),
        [true, false, false]
    );
    assert_eq!(selected("*"), [true, true, true]);
    assert_eq!(selected("empty"), [false, false, false]);
}
