//! Starts the root of an `OSTree` system.

use anyhow::Result;
use osbuild_stage_api::{NoOptions, StageContext, StageModule};

use crate::shared::places::check_sysroot;

pub(crate) const STAGE: StageModule = StageModule::new::<NoOptions>(
    "org.osbuild.ostree.init-fs",
    include_str!("ostree_init_fs.meta.json"),
    run,
);

fn run(context: &StageContext) -> Result<()> {
    check_sysroot(context, None)?;
    context
        .command("ostree")
        .args(["admin", "init-fs", "--modern"])
        .arg(context.tree())
        .arg(format!("--sysroot={}", context.tree().display()))
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_program_is_told_about_the_tree() {
        let test = StageTest::new(&STAGE, json!({})).program("ostree", "true");
        assert_eq!(
            test.run().success().log,
            "$ ostree admin init-fs --modern TREE --sysroot=TREE\n"
        );
    }
}
