//! Unpacks an archive.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::only_file::only_file;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.untar", include_str!("untar.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default = "top")]
    prefix: String,
}

fn top() -> String {
    "/".to_owned()
}

fn run(context: &StageContext) -> Result<()> {
    let Options { prefix } = context.options()?;
    let source = only_file(context, "file")?;
    let target = context.tree_path()?.real_path(prefix)?;
    context
        .command("tar")
        .args(["--auto-compress", "-x", "-f"])
        .arg(source)
        .arg("-C")
        .arg(target)
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn an_archive_is_unpacked_to_its_place() {
        osbuild_testing::needs![tool("tar")];
        let source = tempfile::tempdir().unwrap();
        fs_err::write(source.path().join("a"), "1").unwrap();
        let archive = source.path().join("archive");
        let made = std::process::Command::new("tar")
            .arg("-cf")
            .arg(&archive)
            .arg("-C")
            .args([source.path().as_os_str(), "a".as_ref()])
            .status();
        assert!(made.unwrap().success());
        let archive = fs_err::read(archive).unwrap();
        for (options, expected) in [
            (json!({}), "a 0644 \"1\"\nb/ 0755\n"),
            (json!({"prefix": "/b"}), "b/ 0755\nb/a 0644 \"1\"\n"),
        ] {
            let test = StageTest::new(&STAGE, options).directory("b").input(
                "file",
                &[("archive.tar", &archive)],
                json!({"files": {"archive.tar": {}}}),
            );
            assert_eq!(test.run().success().tree, expected);
        }
    }

    #[test]
    fn a_place_that_is_not_there_is_an_error() {
        let test = StageTest::new(&STAGE, json!({"prefix": "/nowhere"})).input(
            "file",
            &[("x", b"")],
            json!({"files": {"x": {}}}),
        );
        assert_eq!(
            test.run().error(),
            "FileNotFoundError: opening TREE/nowhere: No such file or directory (os error 2)"
        );
    }
}
