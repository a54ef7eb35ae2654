//! Unpacks a gzip file.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::only_file::{new_file, only_file};

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.gunzip", include_str!("gunzip.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    path: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { path } = context.options()?;
    let source = only_file(context, "file")?;
    let target = new_file(context, &path)?;
    context
        .command("gunzip")
        .arg("--stdout")
        .arg(source)
        .write_to(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn a_file_is_unpacked() {
        osbuild_testing::needs![tool("gunzip")];
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut packed, b"content").unwrap();
        let test = StageTest::new(&STAGE, json!({"path": "/image"})).input(
            "file",
            &[("image.gz", &packed.finish().unwrap())],
            json!({"files": {"image.gz": {}}}),
        );
        let ran = test.run().success();
        assert_eq!(ran.tree, "image 0644 \"content\"\n");
        assert_eq!(ran.log, "$ gunzip --stdout INPUTS/file/image.gz\n");
    }

    #[test]
    fn what_is_no_gzip_file_fails_the_stage() {
        osbuild_testing::needs![tool("gunzip")];
        let test = StageTest::new(&STAGE, json!({"path": "/image"})).input(
            "file",
            &[("image.gz", b"not gzip")],
            json!({"files": {"image.gz": {}}}),
        );
        assert!(
            test.run()
                .error()
                .starts_with("CalledProcessError: Command '['gunzip', '--stdout', ")
        );
    }
}
