//! `osbuild depsolve` beside answers of upstream's tool (v191, with dnf 4.14), which `depsolve/cases` holds with their
//! requests.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of these tests are test code, too"
)]

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The reasons of these are another program's words.
const OWN_WORDS: [&str; 2] = ["DepsolveError", "RepoError"];
/// What upstream's tool says of a vendor that is missing; here it is empty.
const NO_VENDOR: &str = "\"<NULL>\"";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/depsolve")
}

fn run(program: &mut Command, request: &str) -> Output {
    let mut child = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(request.as_bytes()).unwrap();
    drop(input);
    child.wait_with_output().unwrap()
}

fn osbuild() -> Command {
    Command::new(env!("CARGO_BIN_EXE_osbuild"))
}

/// The answer to a case, with its exit code.
fn answer(case: &Value, program: &mut Command) -> (Value, Option<i32>) {
    let url = format!("file://{}", folder().join("repository").display());
    let cache = tempfile::tempdir().unwrap();
    let request = case["request"].to_string();
    let request = request.replace("@URL@", &url);
    let request = request.replace("@CACHE@", cache.path().to_str().unwrap());
    let output = run(program, &request);
    let text = String::from_utf8(output.stdout).unwrap();
    let answer = serde_json::from_str(&text.replace(&url, "@URL@")).unwrap();
    (answer, output.status.code())
}

fn case(name: &str) -> Value {
    let path = folder().join("cases").join(name);
    let text = fs_err::read_to_string(path).unwrap();
    serde_json::from_str(&text.replace(NO_VENDOR, "\"\"")).unwrap()
}

#[test]
fn answers_are_those_of_upstreams_tool() {
    let mut count = 0;
    for entry in fs_err::read_dir(folder().join("cases")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let case = case(&name);
        let (mut answer, code) = answer(&case, osbuild().arg("depsolve"));
        let mut expected = case["answer"].clone();
        if OWN_WORDS.contains(&expected["kind"].as_str().unwrap_or_default()) {
            assert_ne!(answer["reason"].as_str().unwrap(), "");
            answer["reason"] = Value::Null;
            expected["reason"] = Value::Null;
        }
        assert_eq!(answer, expected, "{name}");
        assert_eq!(code.map(i64::from), case["exit"].as_i64(), "{name}");
        count += 1;
    }
    assert_eq!(count, 27);
}

#[test]
fn it_is_a_program_of_upstreams_name() {
    let case = case("v2-app.json");
    let (answer, code) = answer(&case, osbuild().arg0("/usr/libexec/osbuild-depsolve-dnf"));
    assert_eq!((&answer, code), (&case["answer"], Some(0)));
}

#[test]
fn damaged_metadata_is_refused() {
    let copy = tempfile::tempdir().unwrap();
    let metadata = copy.path().join("repodata");
    fs_err::create_dir(&metadata).unwrap();
    for name in ["repomd.xml", "primary.xml", "filelists.xml"] {
        let from = folder().join("repository/repodata").join(name);
        let text = fs_err::read_to_string(from).unwrap();
        fs_err::write(metadata.join(name), text.replace("plugin", "pl0gin")).unwrap();
    }
    let case = case("v1-app.json");
    let url = format!("file://{}", copy.path().display());
    let request = case["request"].to_string().replace("@URL@", &url);
    let request = request.replace("@CACHE@", copy.path().join("cache").to_str().unwrap());
    let output = run(osbuild().arg("depsolve"), &request);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(answer["kind"], "RepoError");
    let reason = answer["reason"].as_str().unwrap();
    assert!(
        reason.contains("is not the file that is listed"),
        "{reason}"
    );
}
