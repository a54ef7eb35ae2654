//! Compresses a file with zstd.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::only_file::{new_file, only_file};

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.zstd", include_str!("zstd.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let source = only_file(context, "file")?;
    let target = new_file(context, &options.filename)?;
    context
        .command("zstd")
        .args(["--keep", "--stdout", "-T0", "-1"])
        .arg(source)
        .write_to(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use osbuild_testing::needs;
    use serde_json::json;

    #[test]
    fn what_goes_in_comes_out() {
        needs![tool("zstd")];
        let test = StageTest::new(&STAGE, json!({"filename": "/image.zstd"})).input(
            "file",
            &[("sha256:00", b"A file to be compressed")],
            json!({"files": {"sha256:00": {}}}),
        );
        assert_eq!(
            test.run().success().log,
            "$ zstd --keep --stdout -T0 -1 INPUTS/file/sha256:00\n"
        );
        let unpacked = test
            .context()
            .command("zstd")
            .args(["--decompress", "--stdout"])
            .arg(test.path("image.zstd"))
            .read()
            .unwrap();
        assert_eq!(unpacked, b"A file to be compressed");
    }

    #[test]
    fn a_compressor_that_fails_fails_the_stage() {
        let test = StageTest::new(&STAGE, json!({"filename": "image.zstd"}))
            .input("file", &[("a", b"")], json!({"files": {"a": {}}}))
            .program("zstd", "echo 'no memory' >&2; exit 1");
        let ran = test.run();
        assert!(ran.log.ends_with("no memory\n"), "{}", ran.log);
        assert!(ran.error().ends_with("returned non-zero exit status 1."));
    }
}
