//! Tests that mount: each in a mount namespace of its own, so that nothing can be left behind.

use std::process::Command;

/// Set for the process that runs in the namespace.
const INSIDE: &str = "OSBUILD_TEST_PRIVATE_MOUNTS";

/// Runs the body of a test in a process of its own with private mounts. `test` is the full name of the
/// test that calls this, and calls it once; needs root and `unshare`.
pub fn in_private_mounts(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        body();
        return;
    }
    let program = std::env::current_exe().expect("a process knows its program");
    // What the body mounts on is removed out here, where it is not mounted.
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(program)
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(INSIDE, "1")
        .env("TMPDIR", folder.path())
        .output()
        .expect("`unshare` can be run");
    let bytes = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let log = String::from_utf8_lossy(&bytes);
    assert!(output.status.success(), "in private mounts:\n{log}");
    assert!(
        log.contains("1 passed"),
        "there is no test `{test}`:\n{log}"
    );
}
