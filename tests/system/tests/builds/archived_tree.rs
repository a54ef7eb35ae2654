//! Builds of one stage on a tree that the test has made, as an archive.

use osbuild_testing::deb_repository::sha256;
use serde_json::{Value, json};

use crate::workplace::{Ran, Workplace};

/// Unpacks an archive, runs a stage, and exports the tree to `out/tree`; the result document is on standard output.
#[track_caller]
pub(crate) fn build_on(workplace: &Workplace, archive: Vec<u8>, stage: &Value) -> Ran {
    let checksum = format!("sha256:{}", sha256(&archive));
    workplace.write("tree.tar", archive);
    let file = format!("file://{}", workplace.path("tree.tar").display());
    let manifest = json!({
        "version": "2",
        "pipelines": [{"name": "tree", "stages": [
            {"type": "org.osbuild.untar", "inputs": {"file": {
                "type": "org.osbuild.files",
                "origin": "org.osbuild.source",
                "references": [checksum],
            }}},
            stage,
        ]}],
        "sources": {"org.osbuild.curl": {"items": {checksum: file}}},
    });
    workplace.write("image.json", manifest.to_string());
    let mut command = workplace.command(&["image.json", "--store", "store", "--json"]);
    command.args(["--export", "tree", "--output-directory", "out"]);
    workplace.run(command)
}

/// What the stage had to say, without the commands that it shows.
#[track_caller]
pub(crate) fn output(ran: &Ran) -> Vec<String> {
    let result: Value = serde_json::from_str(&ran.stdout).unwrap();
    let output = result["log"]["tree"][1]["output"].as_str();
    let output = output.unwrap_or_else(|| panic!("no output: {result:#}"));
    let lines = output.lines().filter(|line| !line.starts_with("$ "));
    lines.map(str::to_owned).collect()
}
