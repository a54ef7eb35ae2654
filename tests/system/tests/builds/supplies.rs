//! Pipelines and the files that they are made of: who waits for what, and who fetches it.

use std::time::Duration;

use fs_err as fs;
use osbuild_testing::deb_repository::sha256;
use osbuild_testing::needs;
use osbuild_testing::server::{Answer, Server};
use serde_json::{Value, json};

use crate::workplace::{Ran, Workplace, start};

const QUICK: &[u8] = b"here at once";
/// Comes in 20 pieces.
const SLOW: &[u8] = &[7; 20_000];
const PIECE: usize = 1000;
const PAUSE: Duration = Duration::from_millis(100);

/// A pipeline that copies one file into its tree.
fn pipeline(name: &str, content: &[u8]) -> Value {
    let checksum = format!("sha256:{}", sha256(content));
    json!({"name": name, "stages": [{
        "type": "org.osbuild.copy",
        "inputs": {"file": {
            "type": "org.osbuild.files",
            "origin": "org.osbuild.source",
            "references": [checksum],
        }},
        "options": {"paths": [{"from": format!("input://file/{checksum}"), "to": "tree:///file"}]},
    }]})
}

/// The pipelines `late` and `early`, of which only the second has its file soon.
fn setup(slow: Answer) -> (Workplace, Server) {
    let (workplace, server) = (Workplace::new(), Server::start().unwrap());
    server.answer("/slow", [slow]);
    server.answer("/quick", [Answer::File(QUICK.to_vec())]);
    let manifest = json!({
        "version": "2",
        "pipelines": [pipeline("late", SLOW), pipeline("early", QUICK)],
        "sources": {"org.osbuild.curl": {"items": {
            format!("sha256:{}", sha256(SLOW)): server.url("/slow"),
            format!("sha256:{}", sha256(QUICK)): server.url("/quick"),
        }}},
    });
    workplace.write("image.json", manifest.to_string());
    (workplace, server)
}

fn slowly() -> Answer {
    Answer::Slowly(SLOW.to_vec(), PIECE, PAUSE)
}

/// What the lines of a run are about, in their order.
fn order(ran: &Ran) -> Vec<&str> {
    let lines = ran.stderr.lines();
    lines
        .filter_map(|line| line.split(':').next())
        .filter(|word| ["late", "early", "org.osbuild.curl"].contains(word))
        .collect()
}

#[test]
fn a_pipeline_starts_when_its_own_files_are_there() {
    needs![root];
    let (workplace, _server) = setup(slowly());
    let mut command = workplace.command(&["build", "image.json", "--store", "store"]);
    command.args(["--export", "late", "--export", "early", "--output", "out"]);
    let ran = workplace.run(command);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        order(&ran),
        ["early", "org.osbuild.curl", "late"],
        "{ran:?}"
    );
    assert_eq!(fs::read(workplace.path("out/late/file")).unwrap(), SLOW);
    assert_eq!(fs::read(workplace.path("out/early/file")).unwrap(), QUICK);
}

/// The command line of upstream, whose monitors know of nothing else.
#[test]
fn a_manifest_is_fetched_before_it_is_built() {
    needs![root];
    let (workplace, _server) = setup(slowly());
    let mut command = workplace.command(&["image.json", "--store", "store", "--monitor"]);
    command.args(["JSONSeqMonitor", "--export", "late", "--export", "early"]);
    command.args(["--output-directory", "out"]);
    let ran = workplace.run(command);
    assert_eq!(ran.code, 0, "{ran:?}");
    let fetched = ran.stdout.rfind("Downloaded ").unwrap();
    for pipeline in ["late", "early"] {
        let started = ran.stdout.find(&format!("Starting pipeline {pipeline}"));
        assert!(started.unwrap() > fetched, "{ran:?}");
    }
}

#[test]
fn a_file_that_can_not_be_fetched_ends_what_was_begun_meanwhile() {
    needs![root];
    let (workplace, server) = setup(Answer::Status(404));
    let mut command = workplace.build_command("image.json");
    command.args(["--export", "late", "--export", "early"]);
    let ran = workplace.run(command);
    let message = ran.stderr.replace(&server.url(""), "[mirror]");
    assert_eq!(ran.code, 1);
    assert!(
        message.starts_with(
            "error: source `org.osbuild.curl` failed: curl: error downloading [mirror]/slow: exit code 22"
        ),
        "{message}"
    );
    assert!(!workplace.path("out").exists(), "nothing was exported");
    workplace.assert_usable();
}

#[test]
fn builds_that_want_the_same_file_fetch_it_once() {
    needs![root];
    let (workplace, server) = setup(slowly());
    let builds = ["one", "two"].map(|name| {
        let mut command =
            workplace.command(&["build", "image.json", "--store", "store", "--quiet"]);
        command.args(["--export", "late", "--output", name]);
        start(command)
    });
    for build in builds {
        assert_eq!(workplace.wait(build), Ran::silent());
    }
    workplace.assert_clean();
    for name in ["one", "two"] {
        assert_eq!(
            fs::read(workplace.path(&format!("{name}/file"))).unwrap(),
            SLOW
        );
    }
    let mut paths: Vec<String> = server
        .requests()
        .into_iter()
        .map(|request| request.path)
        .collect();
    paths.sort();
    assert_eq!(paths, ["/quick", "/slow"]);
}
