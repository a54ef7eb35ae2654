//! Mirrors that fail in every way that mirrors do, and files that are not what they should be.

use fs_err as fs;
use osbuild_testing::deb_repository::sha256;
use osbuild_testing::needs;
use osbuild_testing::server::{Answer, Server};
use serde_json::{Value, json};

use crate::workplace::{Ran, Workplace};

const PATH: &str = "/pool/file";

const NOT_FOUND: &str = "curl: error downloading [mirror]/pool/file: exit code 22 (`[mirror]/pool/file`: \
    the server answers 404 Not Found)";

/// What to do where trying again does not help.
const GONE: &str = "  help: a file was removed or replaced where it came from: give another address, or let \
    `osbuild lock RECIPE` choose what is there now\n";

/// Larger than what a socket takes at once, and not the same anywhere.
fn content() -> Vec<u8> {
    (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn checksum(content: &[u8]) -> String {
    format!("sha256:{}", sha256(content))
}

/// Copies a file that has to be fetched into a tree.
fn manifest(url: &str) -> String {
    let checksum = checksum(&content());
    let manifest = json!({
        "version": "2",
        "pipelines": [{"name": "tree", "stages": [{
            "type": "org.osbuild.copy",
            "inputs": {"file": {
                "type": "org.osbuild.files",
                "origin": "org.osbuild.source",
                "references": [checksum],
            }},
            "options": {"paths": [{
                "from": format!("input://file/{checksum}"),
                "to": "tree:///file",
            }]},
        }]}],
        "sources": {"org.osbuild.curl": {"items": {checksum: url}}},
    });
    format!("{manifest:#}\n")
}

/// A workplace with a manifest, and a mirror that answers so.
fn setup(answers: Vec<Answer>) -> (Workplace, Server) {
    let workplace = Workplace::new();
    let server = Server::start().unwrap();
    server.answer(PATH, answers);
    workplace.write("image.json", manifest(&server.url(PATH)));
    (workplace, server)
}

/// Builds with little patience; the address of the mirror is shown as `[mirror]`.
#[track_caller]
fn build(workplace: &Workplace, server: &Server) -> Ran {
    let mut command = workplace.build_command("image.json");
    command.env("OSBUILD_SOURCES_CURL_TRIES", "3");
    command.env("OSBUILD_SOURCES_CURL_PATIENCE", "1");
    let mut ran = workplace.run(command);
    let address = server.url("");
    ran.stderr = ran.stderr.replace(&address, "[mirror]");
    ran
}

/// The build fails with this reason after so many requests, and works once the mirror does.
#[track_caller]
fn assert_gives_up(answer: Answer, requests: usize, reason: &str, advice: &str) {
    let (workplace, server) = setup(vec![answer]);
    let ran = build(&workplace, &server);
    let checksum = checksum(&content());
    let message = format!(
        "error: source `org.osbuild.curl` failed: {}\n{advice}  \
           help: what was fetched is kept; running the same command again goes on from there\n",
        reason.replace("[checksum]", &checksum)
    );
    assert_eq!(ran.stderr, message);
    assert_eq!(ran.code, 1);
    assert_eq!(server.requests().len(), requests);
    assert!(!workplace.path("out").exists(), "nothing was exported");
    workplace.assert_usable();
    server.answer(PATH, [Answer::File(content())]);
    assert_eq!(build(&workplace, &server), Ran::silent());
    assert_eq!(fs::read(workplace.path("out/file")).unwrap(), content());
}

#[test]
fn a_file_that_is_not_there_is_asked_for_once() {
    needs![root];
    assert_gives_up(Answer::Status(404), 1, NOT_FOUND, GONE);
}

#[test]
fn a_server_that_fails_twice_is_asked_a_third_time() {
    needs![root];
    let (workplace, server) = setup(vec![
        Answer::Status(500),
        Answer::Status(500),
        Answer::File(content()),
    ]);
    assert_eq!(build(&workplace, &server), Ran::silent());
    assert_eq!(server.requests().len(), 3);
    assert_eq!(fs::read(workplace.path("out/file")).unwrap(), content());
    workplace.assert_usable();
}

#[test]
fn who_waits_is_told_what_for() {
    needs![root];
    let (workplace, server) = setup(vec![Answer::Status(500), Answer::File(content())]);
    let mut command = workplace.command(&["build", "image.json"]);
    command.args(["--store", "store", "--output", "out"]);
    let ran = workplace.run(command);
    assert_eq!(ran.code, 0);
    let told = format!(
        "org.osbuild.curl: WARNING: failed to download {0}: `{0}`: the server answers 500 Internal Server Error; \
         trying again in ",
        server.url(PATH)
    );
    assert!(ran.stderr.starts_with(&told), "{}", ran.stderr);
}

#[test]
fn a_server_that_always_fails_is_given_up() {
    needs![root];
    assert_gives_up(
        Answer::Status(500),
        3,
        "curl: error downloading [mirror]/pool/file: exit code 22 (`[mirror]/pool/file`: the server answers \
         500 Internal Server Error (gave up after 3 tries))",
        "",
    );
}

#[test]
fn a_transfer_that_is_reset_goes_on_where_it_was() {
    needs![root];
    let (workplace, server) = setup(vec![
        Answer::ResetAfter(content(), 1_000_000),
        Answer::File(content()),
    ]);
    assert_eq!(build(&workplace, &server), Ran::silent());
    let ranges: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.header("range").map(str::to_owned))
        .collect();
    assert_eq!(ranges[0], None);
    assert!(ranges[1].is_some() && ranges.len() == 2, "{ranges:?}");
    assert_eq!(fs::read(workplace.path("out/file")).unwrap(), content());
    workplace.assert_usable();
}

#[test]
fn a_server_that_always_resets_is_given_up() {
    needs![root];
    assert_gives_up(
        Answer::ResetAfter(content(), 0),
        3,
        "curl: error downloading [mirror]/pool/file: exit code 18 (the transfer of `[mirror]/pool/file` broke \
         after 0 bytes: error reading a body from connection: Connection reset by peer (os error 104) \
         (gave up after 3 tries))",
        "",
    );
}

#[test]
fn a_server_that_stalls_is_given_up() {
    needs![root];
    assert_gives_up(
        Answer::StallAfter(content(), 1000),
        3,
        "curl: error downloading [mirror]/pool/file: exit code 28 (the transfer of `[mirror]/pool/file` stalled \
         after 3000 bytes: below 1000 bytes per second for 1 s (gave up after 3 tries))",
        "",
    );
}

#[test]
fn a_file_with_the_wrong_checksum_is_not_kept() {
    needs![root];
    assert_gives_up(
        Answer::File(b"something else\n".to_vec()),
        3,
        "failed to move to target directory: checksum mismatch: [checksum] [mirror]/pool/file (the file there \
         has sha256:a1621be95040239ee14362c16e20510ddc20f527d772d823b2a1679b33f5cd74; has it been replaced?)",
        GONE,
    );
}

#[test]
fn the_result_document_tells_the_failed_source() {
    needs![root];
    let (workplace, server) = setup(vec![Answer::Status(404)]);
    let mut command = workplace.command(&["image.json", "--store", "store", "--json"]);
    command.args(["--export", "tree", "--output-directory", "out"]);
    let ran = workplace.run(command);
    assert_eq!(ran.code, 1);
    let address = server.url("");
    let shown: Value = serde_json::from_str(&ran.stdout.replace(&address, "[mirror]")).unwrap();
    let checksum = checksum(&content());
    let error = NOT_FOUND;
    let summary = format!(
        "curl: finished with return_code 22 but [('{checksum}', {{'url': '[mirror]/pool/file'}})] left to download"
    );
    assert_eq!(
        shown,
        json!({
            "type": "error",
            "success": false,
            "error": {
                "type": "org.osbuild.error.source",
                "details": {"source": {"type": "org.osbuild.curl", "output": error}},
            },
            "sources": {
                "success": false,
                "org.osbuild.curl": [{"checksum": checksum, "error": error}, {"error": summary}],
            },
            "log": {},
        })
    );
}
