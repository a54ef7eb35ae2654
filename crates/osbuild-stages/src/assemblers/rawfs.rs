//! Puts the tree into a file system that fills a file.

use anyhow::{Context, Result};
use osbuild_stage_api::{StageContext, StageModule, TreeRoot};
use rustix::fs::OFlags;
use serde::Deserialize;

use crate::shared::filesystem::content::Content;
use crate::shared::filesystem::extent::Extent;
use crate::shared::filesystem::filled::{self, FileSystem, Kind};

pub(crate) const ASSEMBLER: StageModule =
    StageModule::new::<Options>("org.osbuild.rawfs", include_str!("rawfs.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    root_fs_uuid: String,
    size: i64,
    #[serde(default)]
    fs_type: Kind,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let length = u64::try_from(options.size)
        .with_context(|| format!("`{}` is no size of a file system", options.size))?;
    let output = context.tree_path()?;
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::TRUNC | OFlags::CLOEXEC;
    output
        .open_file(&options.filename, flags, 0o666)?
        .set_len(length)
        .with_context(|| format!("making {} {length} bytes long", options.filename))?;
    let tree = TreeRoot::open(context.input("tree")?.path())?;
    let system = FileSystem {
        kind: options.fs_type,
        uuid: &options.root_fs_uuid,
        label: None,
    };
    filled::make(
        context,
        &output.real_path(&options.filename)?,
        Extent { start: 0, length },
        system,
        &Content::find(&tree, "/", &["/"])?,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use osbuild_testing::needs;
    use serde_json::{Value, json};

    const UUID: &str = "9c6ae55b-cf88-45b8-84e8-64990759f39d";

    fn test_with(options: Value) -> StageTest {
        StageTest::new(&ASSEMBLER, options).input("tree", &[("a", b"1")], Value::Null)
    }

    fn options(kind: &str, size: i64) -> Value {
        json!({"filename": "root.img", "root_fs_uuid": UUID, "size": size, "fs_type": kind})
    }

    #[test]
    fn the_file_system_fills_the_file() {
        needs![tool("mkfs.ext4"), tool("fsck.ext4")];
        let test = test_with(options("ext4", 20 << 20));
        let _ = test.run().success();
        let image = test.path("root.img");
        assert_eq!(fs_err::metadata(&image).unwrap().len(), 20 << 20);
        let command = |program| test.context().command(program);
        command("fsck.ext4").arg("-fn").arg(&image).run().unwrap();
        let read = command("debugfs").args(["-R", "cat /a"]).arg(&image).read();
        assert_eq!(read.unwrap(), b"1");
    }

    #[test]
    fn programs_are_told_uuid_size_and_tree() {
        let test = test_with(options("btrfs", 1 << 30)).program("mkfs.btrfs", "");
        assert_eq!(
            test.run().success().log,
            format!(
                "$ mkfs.btrfs -q -f -U {UUID} --byte-count 1073741824 --rootdir INPUTS/tree TREE/root.img\n"
            )
        );
    }

    #[test]
    fn a_size_that_is_none_is_refused() {
        let test = test_with(options("ext4", -1));
        assert!(
            test.run()
                .error()
                .starts_with("ValueError: `-1` is no size of a file system")
        );
    }

    #[test]
    fn a_tree_that_does_not_fit_fails() {
        needs![tool("mkfs.ext4")];
        let test = StageTest::new(&ASSEMBLER, options("ext4", 1 << 20)).input(
            "tree",
            &[("big", &vec![7; 3 << 20])],
            Value::Null,
        );
        assert!(
            test.run()
                .error()
                .starts_with("CalledProcessError: Command '['mkfs.ext4'"),
            "{}",
            test.run().error()
        );
    }
}
