//! Stages that fail: who, where, the last words, and the log.

use std::path::PathBuf;

use fs_err as fs;
use osbuild_testing::needs;
use serde_json::{Value, json};

use crate::manifests::one_pipeline;
use crate::workplace::Workplace;

/// The ids of a stage that does nothing and of one that fails behind it.
const NOOP_ID: &str = "beda46704765a47e6d4f44aff22168ae36866c9c0e6e11552b775b77776b2969";
const ERROR_ID: &str = "96ab7b24cbc759112053cfc7da501dbbed730c750d68f2e2d7b4f6198ae74684";

fn failing() -> String {
    one_pipeline(&json!([
        {"type": "org.osbuild.noop"},
        {"type": "org.osbuild.error", "options": {"returncode": 7}},
    ]))
}

#[test]
fn a_failing_stage_is_told_with_its_last_words_and_its_log() {
    needs![root];
    let workplace = Workplace::new();
    workplace.write("image.json", failing());
    workplace.assert_fails(
        "image.json",
        1,
        "error: stage 2 of pipeline `tree`, `org.osbuild.error`, failed with exit status 7\n  \
           last lines of its output:\n    \
             Error stage will now return error: 7\n  \
           full log: [folder]/store/logs/[run]/tree/002-org.osbuild.error.log\n",
    );
    let mut runs: Vec<_> = fs::read_dir(workplace.path("store/logs"))
        .unwrap()
        .map(|run| run.unwrap().path())
        .collect();
    runs.sort();
    // The failed run, and the one that showed the store to be usable.
    assert_eq!(runs.len(), 2);
    let logs: Vec<_> = runs
        .iter()
        .map(|run| run.join("tree/002-org.osbuild.error.log"))
        .filter(|log| log.exists())
        .collect();
    assert_eq!(logs.len(), 1);
    assert_eq!(
        fs::read_to_string(&logs[0]).unwrap(),
        "Error stage will now return error: 7\n"
    );
}

#[test]
fn the_result_document_tells_the_failed_stage_and_what_ran() {
    needs![root];
    let workplace = Workplace::new();
    workplace.write("image.json", failing());
    let mut command = workplace.command(&["image.json", "--store", "store", "--json"]);
    command.args(["--export", "tree", "--output-directory", "out"]);
    let ran = workplace.run(command);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.ends_with("}\n") && ran.stdout.lines().count() == 1);
    let text = "Error stage will now return error: 7\n";
    assert_eq!(
        serde_json::from_str::<Value>(&ran.stdout).unwrap(),
        json!({
            "type": "error",
            "success": false,
            "error": {
                "type": "org.osbuild.error.stage",
                "details": {"stage": {
                    "id": ERROR_ID,
                    "type": "org.osbuild.error",
                    "output": text,
                    "error": null,
                }},
            },
            "sources": {"success": true},
            "log": {"tree": [
                {
                    "id": NOOP_ID,
                    "type": "org.osbuild.noop",
                    "output": "Not doing anything with these options: {}\n",
                },
                {"id": ERROR_ID, "type": "org.osbuild.error", "output": text, "success": false},
            ]},
        })
    );
    workplace.assert_usable();
}

/// A manifest whose second stage writes something, then fails.
fn half_done() -> String {
    one_pipeline(&json!([
        {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/first"}]}},
        {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/made"}, {"path": "/not/there"}]}},
    ]))
}

/// Gives the only tree of a failed stage that the store has.
fn kept_tree(workplace: &Workplace) -> PathBuf {
    let objects = fs::read_dir(workplace.path("store/objects")).unwrap();
    let mut kept: Vec<PathBuf> = objects.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    kept.remove(0).join("data/tree")
}

#[test]
fn what_a_failed_stage_left_is_kept_when_that_is_wanted() {
    needs![root];
    let workplace = Workplace::new();
    workplace.write("image.json", half_done());
    let upstream = [
        "image.json",
        "--store",
        "store",
        "--export",
        "tree",
        "--output-directory",
        "out",
    ];
    let ours = ["build", "image.json", "--store", "store", "--output", "out"];
    let fail = |words: &[&str], options: &[&str]| {
        let mut command = workplace.command(words);
        command.args(options);
        let ran = workplace.run(command);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(!workplace.path("out").exists());
        ran
    };
    for words in [&upstream[..], &ours] {
        let ran = fail(words, &[]);
        assert!(!ran.stderr.contains("as the stage left it"), "{ran:?}");
        assert_eq!(
            fs::read_dir(workplace.path("store/objects"))
                .unwrap()
                .count(),
            0
        );
        // The second time, it takes the place of what the first left.
        for _ in 0..2 {
            let ran = fail(words, &["--on-failure", "keep"]);
            let tree = kept_tree(&workplace);
            let place = tree.strip_prefix(workplace.path("")).unwrap();
            let name = place.iter().nth(2).unwrap().to_str().unwrap();
            let said = format!(
                "the tree as the stage left it is kept: `ls -la [folder]/{}` shows it, `osbuild cache remove {name} \
                 --store [folder]/store` removes it\n",
                place.display()
            );
            assert!(ran.stderr.contains(&said), "{ran:?}");
            let mut names: Vec<_> = fs::read_dir(&tree)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            assert_eq!(names, ["first", "made"]);
            fs::write(tree.join("note"), "from a visitor").unwrap();
        }
        let cache = |words: &[&str]| {
            let mut command = workplace.command(&["cache", "--store", "store"]);
            command.args(words);
            workplace.run(command)
        };
        let listed = cache(&["ls"]);
        assert!(listed.stdout.contains("  failed  "), "{listed:?}");
        assert_eq!(cache(&["prune", "--all"]).code, 0);
        assert_eq!(
            fs::read_dir(workplace.path("store/objects"))
                .unwrap()
                .count(),
            0
        );
    }
}
