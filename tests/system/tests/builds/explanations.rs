//! Why stages are run: for each kind of change, what `osbuild explain` says before the build and after it.

use osbuild_testing::deb_repository::sha256;
use osbuild_testing::needs;
use serde_json::{Value, json};

use crate::foreign_modules::add_library;
use crate::workplace::{Ran, Workplace};

/// A disk in which one stage makes a file system at some place, and a stage of a library that is given a file, on the
/// tree of another pipeline.
struct Image {
    content: &'static str,
    start: u32,
    build_root: &'static str,
    epoch: u32,
    script: &'static str,
}

const BEFORE: Image = Image {
    content: "one",
    start: 0,
    build_root: "first",
    epoch: 1_700_000_000,
    script: "cp /run/osbuild/inputs/file/* /run/osbuild/tree/",
};

impl Image {
    fn manifest(&self) -> Value {
        let digest = format!("sha256:{}", sha256(self.content.as_bytes()));
        let disk = json!({"type": "org.osbuild.loopback", "options":
            {"filename": "disk.img", "start": self.start, "size": 65_536, "lock": true}});
        json!({
            "version": "2",
            "pipelines": [
                {"name": "build", "stages": [
                    {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/etc"}, {"path": "/usr"}]}},
                    {"type": "org.osbuild.hostname", "options": {"hostname": self.build_root}},
                ]},
                {"name": "tree", "source-epoch": self.epoch, "stages": [
                    {"type": "com.example.take", "inputs": {"file": {
                        "type": "org.osbuild.files",
                        "origin": "org.osbuild.source",
                        "references": [digest],
                    }}},
                ]},
                {"name": "elsewhere", "build": "name:build", "stages": [
                    {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/srv"}]}},
                ]},
                {"name": "disk", "stages": [
                    {"type": "org.osbuild.truncate", "options": {"filename": "disk.img", "size": "64M"}},
                    {"type": "org.osbuild.mkfs.ext4", "devices": {"device": disk},
                        "options": {"uuid": "1a3c5e70-0000-4000-8000-000000000001"}},
                ]},
            ],
            "sources": {"org.osbuild.inline": {"items":
                {digest: {"encoding": "base64", "data": base64(self.content)}}}},
        })
    }

    fn write(&self, workplace: &Workplace) {
        add_library(workplace, &[("take", self.script)]);
        workplace.write("image.json", self.manifest().to_string());
    }
}

/// The texts of this test, in base64.
fn base64(text: &str) -> &'static str {
    match text {
        "one" => "b25l",
        "two" => "dHdv",
        _ => panic!("add {text}"),
    }
}

const EXPORTS: [&str; 6] = [
    "--export",
    "tree",
    "--export",
    "elsewhere",
    "--export",
    "disk",
];

fn explain(workplace: &Workplace, arguments: &[&str]) -> String {
    let mut command = workplace.command(&["explain", "--store", "store"]);
    command.args(arguments);
    let ran = workplace.run(command);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    ran.stdout
}

fn explain_image(workplace: &Workplace) -> String {
    let mut arguments = vec!["image.json", "--libdir", "library"];
    arguments.extend(EXPORTS);
    explain(workplace, &arguments)
}

fn build(workplace: &Workplace) -> Ran {
    let mut command = workplace.build_command("image.json");
    command.args(["--libdir", "library"]).args(EXPORTS);
    workplace.run(command)
}

#[test]
fn each_kind_of_change_is_told_before_and_after() {
    needs![root, tool("mkfs.ext4")];
    let workplace = Workplace::new();
    BEFORE.write(&workplace);
    let first = "no result of such a stage is in the store";
    assert_eq!(
        explain_image(&workplace),
        format!(
            "pipeline build: 2 stages to run\n  1 org.osbuild.mkdir\n      {first}\n  2 org.osbuild.hostname\n      {first}\n\
             pipeline tree: 1 stage to run\n  1 com.example.take\n      {first}\n\
             pipeline elsewhere: 1 stage to run\n  1 org.osbuild.mkdir\n      {first}\n\
             pipeline disk: 2 stages to run\n  1 org.osbuild.truncate\n      {first}\n  2 org.osbuild.mkfs.ext4\n      {first}\n"
        )
    );
    assert!(!workplace.path("store").exists());
    assert_eq!(build(&workplace), Ran::silent());
    let reused = "pipeline build: not needed\npipeline tree: reused, 1 stage\npipeline elsewhere: reused, 1 stage\npipeline disk: reused, 2 stages\n";
    assert_eq!(explain_image(&workplace), reused);

    let take = |reason: &str| {
        format!("pipeline tree: 1 stage to run\n  1 com.example.take\n      {reason}\n")
    };
    let cheap = "its result is not kept by itself: it takes less time than that is worth";
    let cases = [
        (
            Image {
                script: "cp /run/osbuild/inputs/file/sha256* /run/osbuild/tree/",
                ..BEFORE
            },
            take("module code changed"),
        ),
        (
            Image {
                content: "two",
                ..BEFORE
            },
            take("input `file`: input digest changed, 1 new and 1 gone"),
        ),
        (
            Image {
                epoch: 1_700_000_001,
                ..BEFORE
            },
            take("source-epoch: 1700000000 → 1700000001"),
        ),
        (
            Image {
                start: 2048,
                ..BEFORE
            },
            format!(
                "pipeline disk: 2 stages to run\n  1 org.osbuild.truncate\n      {cheap}\n  \
                 2 org.osbuild.mkfs.ext4\n      device `device`: `options.start`: 0 → 2048\n"
            ),
        ),
        (
            Image {
                build_root: "second",
                ..BEFORE
            },
            "pipeline elsewhere: 1 stage to run\n  1 org.osbuild.mkdir\n      build tree changed\n"
                .to_owned(),
        ),
    ];
    for (after, expected) in cases {
        after.write(&workplace);
        let said = explain_image(&workplace);
        assert!(said.contains(&expected), "{said}");
        let run = said
            .lines()
            .filter(|line| line.ends_with(" to run"))
            .count();
        let is_elsewhere = expected.contains("build tree");
        // A change of the build tree is one of two pipelines; else no other is touched.
        assert_eq!(run, if is_elsewhere { 2 } else { 1 }, "{said}");
        assert_eq!(build(&workplace), Ran::silent());
        assert_eq!(explain(&workplace, &["--last"]), said);
        assert_eq!(explain_image(&workplace), reused);
    }
}
