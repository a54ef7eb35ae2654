//! Brings certificate stores up to date.

use anyhow::Result;
use osbuild_stage_api::{ExitWith, NoOptions, StageContext, StageModule};

pub(crate) const STAGE: StageModule = StageModule::new::<NoOptions>(
    "org.osbuild.pki.update-ca-trust",
    include_str!("pki_update_ca_trust.meta.json"),
    run,
);

fn run(context: &StageContext) -> Result<()> {
    let status = context
        .chroot()?
        .command("/usr/bin/update-ca-trust")
        .arg("extract")
        .status()?;
    if status.success() {
        return Ok(());
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Err(ExitWith(code.unwrap_or(1)).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_program_of_the_tree_is_run() {
        osbuild_testing::needs![root];
        let ran = StageTest::new(&STAGE, json!({}))
            .chroot_stand_in()
            .run()
            .success();
        assert_eq!(ran.log, "$ chroot TREE /usr/bin/update-ca-trust extract\n");
    }
}
