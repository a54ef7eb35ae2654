//! Ids, bit for bit: what upstream computes for stages, inputs, devices, mounts and sources.

#![expect(clippy::unwrap_used, reason = "in a helper, too, it fails the test")]

mod any_module;

use any_module::AnyModule;
use osbuild_manifest::identifier::value_id;
use osbuild_manifest::manifest::Manifest;
use osbuild_manifest::resolve::resolve;
use osbuild_manifest::value::Value;

fn resolved(text: &str) -> Manifest {
    resolve(
        &Value::from_json(text).unwrap(),
        &AnyModule,
        "org.osbuild.linux",
    )
    .unwrap()
}

const NOOP: &str = "beda46704765a47e6d4f44aff22168ae36866c9c0e6e11552b775b77776b2969";
const HOSTNAME: &str = "55d72a5b7e2cf3ad3daa2199e805b9285cec69363fad13931a4248b36e8bdce0";

#[test]
fn stages_of_both_formats() {
    let stages = r#"[{"KEY": "org.osbuild.noop"}, {"KEY": "org.osbuild.hostname", "options": {"hostname": "x"}}]"#;
    let version_2 = format!(
        r#"{{"version": "2", "pipelines": [{{"name": "tree", "stages": {}}}]}}"#,
        stages.replace("KEY", "type")
    );
    let version_1 = format!(
        r#"{{"pipeline": {{"stages": {}, "assembler": {{"name": "org.osbuild.noop"}}}}}}"#,
        stages.replace("KEY", "name")
    );
    for text in [&version_2, &version_1] {
        let manifest = resolved(text);
        let ids: Vec<_> = manifest.pipelines[0]
            .stages
            .iter()
            .map(|stage| stage.id.as_str())
            .collect();
        assert_eq!(ids, [NOOP, HOSTNAME]);
    }
    let assembler = resolved(&version_1).pipelines[1]
        .id()
        .map(ToString::to_string);
    assert_eq!(
        assembler.as_deref(),
        Some("453a3c3da6851f8a3f57793fca21f590583d6de8e37cc2b3bad00b0c63e57514")
    );
}

#[test]
fn build_epoch_and_numbers_count() {
    let build = "b".repeat(64);
    let manifest = format!(
        r#"{{"version": "2", "pipelines": [{{"name": "tree", "build": "{build}", "source-epoch": 1234,
            "stages": [{{"type": "org.osbuild.noop", "options": {{"n": 1.0, "u": "é"}}}}]}}]}}"#
    );
    // The build pipeline is not in the manifest, which is an error of its own; the id is that of the stage alone.
    let error = resolve(
        &Value::from_json(&manifest).unwrap(),
        &AnyModule,
        "org.osbuild.linux",
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            ".pipelines[0].build: no pipeline has the id '{build}'; to refer to one by its name, write 'name:' before it"
        )
    );
    let manifest = resolved(&manifest.replace(&format!(r#""build": "{build}", "#), ""));
    let mut stage = manifest.pipelines[0].stages[0].clone();
    stage.build = Some(osbuild_manifest::manifest::StageId::new(build));
    assert_eq!(
        osbuild_manifest::identifier::stage_id(&stage).as_str(),
        "5e30996143827f121eb3f36064b2d1142e3c302f053aea0f69428c8c09b0bfea"
    );
}

#[test]
fn devices_and_mounts() {
    let manifest = resolved(
        r#"{"version": "2", "pipelines": [{"name": "tree", "stages": [{"type": "org.osbuild.noop",
            "devices": {
                "lv": {"type": "org.osbuild.lvm2.lv", "parent": "disk", "options": {"volume": "root"}},
                "disk": {"type": "org.osbuild.loopback", "options": {"filename": "disk.img"}}},
            "mounts": [
                {"name": "a", "type": "org.osbuild.ext4", "source": "disk", "target": "/"},
                {"name": "b", "type": "org.osbuild.ext4", "partition": 2, "target": "/boot", "options": {"readonly": true}},
                {"name": "c", "type": "org.osbuild.ext4", "source": "disk", "target": "/", "partition": 0}]}]}]}"#,
    );
    let stage = &manifest.pipelines[0].stages[0];
    let devices: Vec<_> = stage
        .devices
        .values()
        .map(|device| (device.name.as_str(), device.id.as_str()))
        .collect();
    assert_eq!(
        devices,
        [
            (
                "disk",
                "1b5e82803f9340ab9da214caf2c076137b1ccc6137d704cf2e06ba8685dbf795"
            ),
            (
                "lv",
                "b3aa3f24f127429d20444e32609e7e5d623b0a117eeab8a5110f90c800639259"
            ),
        ]
    );
    let mounts: Vec<_> = stage.mounts.iter().map(|mount| mount.id.as_str()).collect();
    assert_eq!(
        mounts[0],
        "bca26da595aa4e69c78e04b2c4e99e3e74b287a5bb4419ddca6310ce7b65af9c"
    );
    assert_eq!(mounts[2], mounts[0], "partition 0 does not count");
}

#[test]
fn inputs_mounts_and_sources() {
    let (items, reference) = (r#"{"sha256:00": "http://x"}"#, "c".repeat(64));
    let manifest = resolved(&format!(
        r#"{{"version": "2", "sources": {{"org.osbuild.curl": {{"items": {items}, "options": {{"a": 1}}}}}}}}"#
    ));
    assert_eq!(
        manifest.sources[0].id,
        "bc6c92796d6153a305acbcebd34817337112b93da3a46ca2700af4999b905297"
    );
    let mut stage = resolved(
        r#"{"version": "2", "sources": {"org.osbuild.curl": {"items": {"sha256:00": "http://x"}}},
            "pipelines": [{"name": "p"}, {"name": "tree", "stages": [{"type": "org.osbuild.noop",
            "inputs": {
                "tree": {"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline", "references": ["name:p"]},
                "a": {"type": "org.osbuild.files", "origin": "org.osbuild.source", "options": {"o": 1},
                      "references": {"sha256:00": {"metadata": {"rpm.check_gpg": true}}}}},
            "devices": {"disk": {"type": "org.osbuild.loopback", "options": {"filename": "disk.img"}}},
            "mounts": [
                {"name": "a", "type": "org.osbuild.ext4", "source": "disk", "target": "/"},
                {"name": "b", "type": "org.osbuild.ext4", "source": "disk", "partition": 2, "target": "/boot", "options": {"readonly": true}}]}]}]}"#,
    )
    .pipelines[1]
        .stages[0]
        .clone();
    assert_eq!(
        stage.inputs["a"].id,
        "d7a3b96e050d97b8c0458fc7af8f0af760cb60f34f8ad0584d83a6c8f251d266"
    );
    let tree = stage.inputs.get_mut("tree").unwrap();
    assert_eq!(tree.references.keys().collect::<Vec<_>>(), ["null"]);
    tree.references = [(reference, Value::from_json("{}").unwrap())]
        .into_iter()
        .collect();
    tree.id = osbuild_manifest::identifier::input_id(tree);
    assert_eq!(
        tree.id,
        "5c437f045619d55579313fad2a67ccb0b535573e3d30e187811a5a3669ff6165"
    );
    assert_eq!(
        stage.mounts[1].id,
        "a10570ea7e307f7aa380f82d59e005056c768ffe40b677f870b457ced766ed96"
    );
    assert_eq!(
        osbuild_manifest::identifier::stage_id(&stage).as_str(),
        "d392d441a03523559e5e80d1ebb22d33118196a2742521f35cc39dd7e31e51f4"
    );
}

#[test]
fn the_context_of_a_monitor() {
    let context = r#"{"origin": "org.osbuild", "pipeline": {"name": null, "id": null, "stage": {"name": null, "id": null}}}"#;
    assert_eq!(
        value_id(&Value::from_json(context).unwrap()),
        "504d0d9ce9a1fa53e4b51fce32dea1775dba782e1bc84ef9e4fabc9cc5b9bd7e"
    );
}
