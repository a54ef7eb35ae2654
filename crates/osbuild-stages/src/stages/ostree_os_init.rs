//! Adds an operating system to an `OSTree` root.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::places::check_sysroot;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.ostree.os-init",
    include_str!("ostree_os_init.meta.json"),
    run,
);

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Deserialize)]
struct Options {
    osname: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { osname } = context.options()?;
    check_sysroot(context, Some(&osname))?;
    context
        .command("ostree")
        .args(["admin", "os-init", &osname])
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
        let test = StageTest::new(&STAGE, json!({"osname": "fedora"})).program("ostree", "true");
        assert_eq!(
            test.run().success().log,
            "$ ostree admin os-init fedora --sysroot=TREE\n"
        );
    }
}
