//! Sets the size of a file.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.truncate",
    include_str!("truncate.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    size: String,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let file = context.tree_path()?.target_path(&options.filename)?;
    context
        .command("truncate")
        .args(["--size", &options.size])
        .arg(file)
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn a_new_file_is_all_hole() {
        let test = StageTest::new(&STAGE, json!({"filename": "/disk.img", "size": "16M"}));
        assert_eq!(
            test.run().success().log,
            "$ truncate --size 16M TREE/disk.img\n"
        );
        let meta = fs_err::metadata(test.path("disk.img")).unwrap();
        assert_eq!(
            (meta.len(), std::os::unix::fs::MetadataExt::blocks(&meta)),
            (16 << 20, 0)
        );
    }

    #[test]
    fn a_file_that_is_there_is_cut_off() {
        let test =
            StageTest::new(&STAGE, json!({"filename": "a", "size": "3"})).file("a", "content");
        assert_eq!(test.run().success().tree, "a 0644 \"con\"\n");
    }

    #[test]
    fn a_size_that_means_nothing_fails_the_stage() {
        let test = StageTest::new(&STAGE, json!({"filename": "a", "size": "much"}));
        assert!(
            test.run()
                .error()
                .starts_with("CalledProcessError: Command '['truncate', '--size', 'much',")
        );
    }
}
