//! Makes a boot image for s390x.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.mks390image",
    include_str!("mks390image.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    kernel: String,
    initrd: String,
    config: String,
    image: String,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let tree = context.tree_path()?;
    context
        .command("mk-s390image")
        .arg(tree.real_path(&options.kernel)?)
        .arg(tree.target_path(&options.image)?)
        .arg("-r")
        .arg(tree.real_path(&options.initrd)?)
        .arg("-p")
        .arg(tree.real_path(&options.config)?)
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    fn test() -> StageTest {
        let options = json!({
            "kernel": "/images/kernel.img", "initrd": "images/initrd.img", "config": "/images/cdboot.prm",
            "image": "/images/cdboot.img"
        });
        StageTest::new(&STAGE, options).program("mk-s390image", "true")
    }

    #[test]
    fn the_files_are_given_in_the_programs_order() {
        let test = ["kernel.img", "initrd.img", "cdboot.prm"]
            .into_iter()
            .fold(test(), |test, name| {
                test.file(&format!("images/{name}"), "")
            });
        assert_eq!(
            test.run().success().log,
            "$ mk-s390image TREE/images/kernel.img TREE/images/cdboot.img -r TREE/images/initrd.img \
             -p TREE/images/cdboot.prm\n"
        );
    }

    #[test]
    fn a_missing_file_is_an_error() {
        assert_eq!(
            test().run().error().split(':').next(),
            Some("FileNotFoundError")
        );
    }
}
