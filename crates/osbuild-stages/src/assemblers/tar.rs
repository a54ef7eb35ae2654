//! Packs the tree into a tar archive.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const ASSEMBLER: StageModule =
    StageModule::new::<Options>("org.osbuild.tar", include_str!("tar.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    compression: Option<Compression>,
    #[serde(default = "yes")]
    acls: bool,
    #[serde(default = "yes")]
    selinux: bool,
    #[serde(default = "yes")]
    xattrs: bool,
}

/// Named as the program that `tar` runs for it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Compression {
    Bzip2,
    Xz,
    Lzip,
    Lzma,
    Lzop,
    Gzip,
}

impl Compression {
    fn switch(self) -> &'static str {
        match self {
            Self::Bzip2 => "--bzip2",
            Self::Xz => "--xz",
            Self::Lzip => "--lzip",
            Self::Lzma => "--lzma",
            Self::Lzop => "--lzop",
            Self::Gzip => "--gzip",
        }
    }
}

fn yes() -> bool {
    true
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let archive = context.tree_path()?.target_path(&options.filename)?;
    context
        .command("tar")
        .args(arguments(&options))
        .arg("-cf")
        .arg(archive)
        .arg("-C")
        .arg(context.input("tree")?.path())
        .arg(".")
        .env("XZ_OPT", "--threads 0")
        .run()
}

fn arguments(options: &Options) -> Vec<&'static str> {
    let mut arguments: Vec<_> = options
        .compression
        .map(Compression::switch)
        .into_iter()
        .collect();
    for (is_wanted, switches) in [
        (options.acls, &["--acls"][..]),
        (options.selinux, &["--selinux"]),
        (options.xattrs, &["--xattrs", "--xattrs-include", "*"]),
    ] {
        if is_wanted {
            arguments.extend(switches);
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use osbuild_testing::needs;
    use serde_json::{Value, json};

    fn test_with(options: Value) -> StageTest {
        StageTest::new(&ASSEMBLER, options).input(
            "tree",
            &[("etc/hostname", b"here\n"), ("empty", b"")],
            Value::Null,
        )
    }

    #[test]
    fn options_become_arguments() {
        for (options, expected) in [
            (
                json!({"filename": "a.tar"}),
                "--acls --selinux --xattrs --xattrs-include '*'",
            ),
            (
                json!({"filename": "a.tar", "compression": "lzop", "acls": false, "selinux": false, "xattrs": false}),
                "--lzop",
            ),
        ] {
            let test = test_with(options).program("tar", "");
            assert_eq!(
                test.run().success().log,
                format!("$ tar {expected} -cf TREE/a.tar -C INPUTS/tree .\n")
            );
        }
    }

    #[test]
    fn the_archive_equals_the_tree() {
        needs![tool("tar"), tool("xz"), tool("gzip"), tool("bzip2")];
        for (compression, magic) in [
            ("xz", &b"\xfd7zXZ"[..]),
            ("gzip", b"\x1f\x8b"),
            ("bzip2", b"BZh"),
        ] {
            let test = test_with(json!({"filename": "a", "compression": compression}));
            let context = test.context();
            let _ = test.run().success();
            let archive = fs_err::read(test.path("a")).unwrap();
            assert_eq!(archive[..magic.len()], *magic, "{compression}");
            // Fails on any difference between the archive and the tree.
            context
                .command("tar")
                .arg("-df")
                .arg(test.path("a"))
                .arg("-C")
                .arg(context.input("tree").unwrap().path())
                .run()
                .unwrap();
        }
    }

    #[test]
    fn a_name_can_not_lead_out_of_the_output() {
        let test = test_with(json!({"filename": "../../a.tar"})).program("tar", "");
        let log = test.run().success().log;
        assert!(log.contains(" -cf TREE/a.tar "), "{log}");
    }
}
