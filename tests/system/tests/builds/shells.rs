//! Shells in the sandbox of a stage.

use std::io::Write as _;
use std::process::Stdio;

use osbuild_testing::needs;
use osbuild_testing::tree::describe;
use serde_json::json;

use crate::workplace::{Ran, Workplace};

/// Two stages, the second of which may fail.
fn write_manifest(workplace: &Workplace, second: &str) {
    let manifest = json!({
        "version": "2",
        "pipelines": [{"name": "tree", "stages": [
            {"type": "org.osbuild.noop"},
            {"type": second},
        ]}],
    });
    workplace.write("image.json", manifest.to_string());
}

/// Runs the command line of upstream with words for the shell on standard input.
fn run_with_shell(workplace: &Workplace, words: &[&str], script: &str) -> Ran {
    let mut command = workplace.command(words);
    command.args([
        "image.json",
        "--store",
        "store",
        "--output-directory",
        "out",
    ]);
    command.args(["--export", "tree", "--monitor", "NullMonitor", "--json"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(script.as_bytes()).unwrap();
    drop(input);
    let ran = workplace.wait(child);
    workplace.assert_clean();
    ran
}

#[test]
fn a_shell_is_opened_before_the_stage_that_is_meant_and_no_other() {
    needs![root, tool("bwrap")];
    let workplace = Workplace::new();
    let manifest = json!({
        "version": "2",
        "pipelines": [{"name": "tree", "stages": [
            {"type": "org.osbuild.noop"},
            {"type": "org.osbuild.hostname", "options": {"hostname": "x"}},
        ]}],
    });
    workplace.write("image.json", manifest.to_string());
    // The shell sees what the stage will: its tree as the stage before left it, and its arguments.
    let script = "echo shell; ls /run/osbuild/tree; grep -o hostname /run/osbuild/api/arguments; \
                  echo made > /run/osbuild/tree/made; exit 3\n";
    let ran = run_with_shell(&workplace, &["--break=org.osbuild.hostname"], script);
    let (shell, document) = ran.stdout.rsplit_once("{\"type\"").unwrap();
    assert_eq!(shell, "shell\nhostname\n", "{document}");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let tree = describe(&workplace.path("out/tree")).unwrap();
    assert!(tree.contains("made"), "{tree}");
}

#[test]
fn a_shell_is_opened_where_a_stage_failed() {
    needs![root, tool("bwrap")];
    let workplace = Workplace::new();
    write_manifest(&workplace, "org.osbuild.error");
    let ran = run_with_shell(&workplace, &["--on-failure", "shell"], "echo shell; exit\n");
    assert!(
        ran.stdout.starts_with("shell\n{\"type\": \"error\""),
        "{ran:?}"
    );
    assert_eq!(ran.code, 1);
}
