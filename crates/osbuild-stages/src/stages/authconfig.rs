//! Has `authconfig` of the tree configure logins.

use anyhow::Result;
use osbuild_stage_api::{NoOptions, StageContext, StageModule};

use crate::shared::remove_tree;

pub(crate) const STAGE: StageModule = StageModule::new::<NoOptions>(
    "org.osbuild.authconfig",
    include_str!("authconfig.meta.json"),
    run,
);

/// Copies of what was there before, by the authselect behind it.
const BACKUPS: &str = "/var/lib/authselect/backups";

fn run(context: &StageContext) -> Result<()> {
    context
        .chroot()?
        .command("/usr/sbin/authconfig")
        .args(["--nostart", "--updateall"])
        .run()?;
    remove_tree::remove_if_directory(&context.tree_path()?, BACKUPS.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn copies_of_what_was_there_go() {
        osbuild_testing::needs![root];
        let ran = StageTest::new(&STAGE, json!({}))
            .chroot_stand_in()
            .file("var/lib/authselect/backups/a/b", "")
            .run()
            .success();
        assert_eq!(
            ran.log,
            "$ chroot TREE /usr/sbin/authconfig --nostart --updateall\n"
        );
        assert!(
            ran.tree.ends_with("var/lib/authselect/ 0755\n"),
            "{}",
            ran.tree
        );
    }
}
