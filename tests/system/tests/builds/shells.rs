//! Shells in the sandbox of a stage.

use std::io::Write as _;
use std::process::{Command, Stdio};

use osbuild_testing::needs;
use osbuild_testing::tree::describe;
use serde_json::json;

use crate::workplace::{Ran, Workplace, program};

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

/// `script` is the terminal; what is typed is echoed, so the words that are looked for are typed otherwise.
#[test]
fn a_shell_is_opened_where_a_stage_failed() {
    needs![root, tool("bwrap"), tool("script")];
    let workplace = Workplace::new();
    write_manifest(&workplace, "org.osbuild.error");
    let line = format!(
        "{} image.json --store store --output-directory out --export tree --monitor NullMonitor --on-failure shell",
        program().display()
    );
    let mut child = Command::new("script")
        .current_dir(workplace.path(""))
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"echo sh''ell\nexit\n").unwrap();
    drop(input);
    let ran = workplace.wait(child);
    workplace.assert_clean();
    let (shell, error) = ran.stdout.split_once("error: stage 2").unwrap();
    assert!(shell.contains("shell\r\n"), "{ran:?}");
    assert!(error.contains("failed with exit status 255"), "{ran:?}");
    assert_eq!(ran.code, 1);
}

#[test]
fn a_shell_after_a_failure_is_refused_where_there_is_no_terminal() {
    needs![root];
    let workplace = Workplace::new();
    write_manifest(&workplace, "org.osbuild.error");
    let ran = run_with_shell(&workplace, &["--on-failure", "shell"], "exit\n");
    assert_eq!(
        ran.stderr,
        "error: --on-failure shell needs a terminal, and standard input is none\n  \
           help: --on-failure keep keeps what the stage left of its tree, and needs none; a manifest can be named \
         instead of `-`\n"
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(!workplace.path("store").exists());
}
