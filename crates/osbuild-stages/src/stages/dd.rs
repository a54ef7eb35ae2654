//! Copies a range of bytes to the start of a file.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.dd", include_str!("dd.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    src: String,
    dst: String,
    #[serde(default)]
    src_offset: u64,
    count: u64,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let source = context.resolve_location(&options.src)?.host_path();
    let target = context.tree_path()?.target_path(&options.dst)?;
    context
        .command("dd")
        .arg(format!("if={}", source.display()))
        .arg(format!("of={}", target.display()))
        .arg("bs=4096")
        .arg(format!("skip={}", options.src_offset))
        .arg(format!("count={}", options.count))
        .args(["iflag=skip_bytes,count_bytes", "conv=notrunc"])
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::{Value, json};

    #[test]
    fn a_range_replaces_the_start_and_leaves_the_rest() {
        let options = json!({"src": "input://image/disk.img", "dst": "/part.raw", "src_offset": 3, "count": 4});
        let test = StageTest::new(&STAGE, options)
            .input("image", &[("disk.img", b"0123456789")], Value::Null)
            .file("part.raw", "abcdefgh");
        let ran = test.run().success();
        assert_eq!(ran.tree, "part.raw 0644 \"3456efgh\"\n");
        let line = "$ dd if=INPUTS/image/disk.img of=TREE/part.raw bs=4096 skip=3 count=4 \
                    iflag=skip_bytes,count_bytes conv=notrunc\n";
        assert!(ran.log.starts_with(line), "{}", ran.log);
    }

    #[test]
    fn an_input_that_was_not_given_is_named() {
        let test = StageTest::new(
            &STAGE,
            json!({"src": "input://image/x", "dst": "y", "count": 1}),
        );
        assert_eq!(test.run().error(), "ValueError: Unknown input 'image'");
    }
}
