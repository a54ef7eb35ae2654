//! Makes the users that packages ask for.

use anyhow::Result;
use osbuild_stage_api::{NoOptions, StageContext, StageModule};

pub(crate) const STAGE: StageModule = StageModule::new::<NoOptions>(
    "org.osbuild.systemd-sysusers",
    include_str!("systemd_sysusers.meta.json"),
    run,
);

fn run(context: &StageContext) -> Result<()> {
    context
        .command("systemd-sysusers")
        .arg("--root")
        .arg(context.tree())
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_program_is_given_the_tree() {
        let ran = StageTest::new(&STAGE, json!({}))
            .program("systemd-sysusers", "true")
            .run()
            .success();
        assert_eq!(ran.log, "$ systemd-sysusers --root TREE\n");
    }
}
