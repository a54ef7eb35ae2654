//! Puts a checksum into an ISO image.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.implantisomd5",
    include_str!("implantisomd5.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { filename } = context.options()?;
    let image = context.tree_path()?.real_path(filename)?;
    context
        .command("implantisomd5")
        .arg(image)
        .current_dir(context.tree())
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_image_is_one_of_the_tree() {
        let test =
            StageTest::new(&STAGE, json!({"filename": "/a.iso"})).program("implantisomd5", "true");
        let ran = test.run();
        assert_eq!(ran.error().split(':').next(), Some("FileNotFoundError"));
        let ran = test.file("a.iso", "").run().success();
        assert_eq!(ran.log, "$ implantisomd5 TREE/a.iso\n");
    }
}
