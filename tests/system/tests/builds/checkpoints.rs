//! Results that are kept, used again, and told.

use fs_err as fs;
use osbuild_testing::needs;
use osbuild_testing::tree::describe;
use serde_json::{Value, json};

use crate::manifests::{self, one_pipeline};
use crate::workplace::{Ran, Workplace};

/// The ids of the stages of the small manifest.
const MKDIR_ID: &str = "10f61e5f497d811ea6c1b79a61af0230857daa3b54f37557168d2db82f290fe1";
const HOSTNAME_ID: &str = "a50cae74ab58c70d278305ed7ba006cb9bdb621a1fd7540d4b54dff72670e875";

fn build(workplace: &Workplace, arguments: &[&str]) -> Value {
    let mut command = workplace.command(&["image.json", "--store", "store", "--json"]);
    command.args(["--export", "tree", "--output-directory", "out"]);
    command.args(arguments);
    let ran = workplace.run(command);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(ran.stdout.lines().count(), 1);
    assert_eq!(
        describe(&workplace.path("out/tree")).unwrap(),
        manifests::SMALL_TREE
    );
    fs::remove_dir_all(workplace.path("out")).unwrap();
    serde_json::from_str(&ran.stdout).unwrap()
}

/// The document of a build that ran these stages.
fn success(log: &Value) -> Value {
    json!({
        "type": "result",
        "success": true,
        "metadata": {},
        "sources": {"success": true},
        "log": log,
    })
}

#[test]
fn a_checkpoint_is_used_instead_of_running_its_stages() {
    needs![root, tool("systemd-firstboot")];
    let workplace = Workplace::new();
    workplace.write("image.json", manifests::small());
    let mkdir = json!({"id": MKDIR_ID, "type": "org.osbuild.mkdir", "output": ""});
    let hostname = json!({
        "id": HOSTNAME_ID,
        "type": "org.osbuild.hostname",
        "output": "$ systemd-firstboot --root=/run/osbuild/tree --hostname=small\n\
                   /run/osbuild/tree/etc/hostname written.\n",
    });
    let both = success(&json!({"tree": [mkdir, hostname]}));
    // Nothing is kept that nobody asked to keep.
    assert_eq!(build(&workplace, &[]), both);
    assert_eq!(build(&workplace, &["--checkpoint", MKDIR_ID]), both);
    let last = success(&json!({"tree": [hostname]}));
    assert_eq!(build(&workplace, &["--checkpoint", "tree"]), last);
    assert_eq!(
        build(&workplace, &["--checkpoint", "tree"]),
        success(&json!({}))
    );
    let kept: Vec<_> = [MKDIR_ID, HOSTNAME_ID]
        .iter()
        .map(|id| {
            workplace
                .path(&format!("store/objects/{id}/data/tree"))
                .is_dir()
        })
        .collect();
    assert_eq!(kept, [true, true]);
}

#[test]
fn the_text_report_lists_pipelines_and_checkpoints() {
    needs![root];
    let workplace = Workplace::new();
    workplace.write("image.json", manifests::small());
    let mut command = workplace.command(&["image.json", "--store", "store"]);
    command.args(["--monitor", "NullMonitor", "--checkpoint", "tree"]);
    command.args(["--export", "tree", "--output-directory", "out"]);
    let report = format!(
        "\nPipelines\n  tree:     \t{HOSTNAME_ID}\n\nCheckpoints\n  {HOSTNAME_ID}: cached\n"
    );
    assert_eq!(
        workplace.run(command),
        Ran {
            code: 0,
            stdout: report,
            stderr: String::new(),
        }
    );
}

#[test]
fn a_checkpoint_that_matches_nothing_is_told() {
    needs![root];
    let workplace = Workplace::new();
    workplace.write("image.json", manifests::small());
    let command = workplace.command(&["image.json", "--store", "store", "--checkpoint", "other"]);
    assert_eq!(
        workplace.run(command),
        Ran {
            code: 1,
            stdout: "No checkpoints matched provided patterns!\nFailed\n".to_owned(),
            stderr: String::new(),
        }
    );
}

/// A step that failed is not kept, and those before it that were asked for are.
#[test]
fn checkpoints_before_a_failure_are_kept() {
    needs![root];
    let workplace = Workplace::new();
    workplace.write(
        "image.json",
        one_pipeline(&json!([
            {"type": "org.osbuild.noop"},
            {"type": "org.osbuild.error"},
        ])),
    );
    let mut command = workplace.command(&["image.json", "--store", "store", "--json"]);
    command.args([
        "--export",
        "tree",
        "--output-directory",
        "out",
        "--checkpoint",
        "*",
    ]);
    assert_eq!(workplace.run(command).code, 1);
    let kept: Vec<_> = fs::read_dir(workplace.path("store/objects"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        kept,
        ["beda46704765a47e6d4f44aff22168ae36866c9c0e6e11552b775b77776b2969"]
    );
}
