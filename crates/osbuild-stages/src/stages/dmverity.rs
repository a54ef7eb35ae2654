//! Protects a device with dm-verity.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::Number;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.dmverity",
    include_str!("dmverity.meta.json"),
    run,
);

const PROGRAM: &str = "/usr/sbin/veritysetup";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default = "usual_block_size")]
    blocksize: Number,
    root_hash_file: String,
}

fn usual_block_size() -> Number {
    512.into()
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let device =
        |name| -> Result<_> { Ok(context.devices_root().join(context.device(name)?.path())) };
    let (data, hashes) = (device("data_device")?, device("hash_device")?);
    let root_hash = context.tree_path()?.target_path(&options.root_hash_file)?;
    context
        .command(PROGRAM)
        .arg("format")
        .args([&data, &hashes])
        .args(["--data-block-size", &options.blocksize.to_string()])
        .arg("--root-hash-file")
        .arg(&root_hash)
        .run()?;
    context
        .command(PROGRAM)
        .arg("verify")
        .args([&data, &hashes])
        .arg("--root-hash-file")
        .arg(&root_hash)
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn hashes_are_made_and_checked() {
        let test = StageTest::new(
            &STAGE,
            json!({"root_hash_file": "/a/hash", "blocksize": 4096}),
        )
        .directory("a")
        .device("data_device", "data".as_ref())
        .device("hash_device", "/dev/hash".as_ref())
        .program("veritysetup", "true");
        assert_eq!(
            test.run().success().log,
            "$ veritysetup format /dev/data /dev/hash --data-block-size 4096 --root-hash-file TREE/a/hash\n\
             $ veritysetup verify /dev/data /dev/hash --root-hash-file TREE/a/hash\n"
        );
    }
}
