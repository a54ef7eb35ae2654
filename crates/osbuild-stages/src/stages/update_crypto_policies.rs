//! Chooses which cryptography programs use.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.update-crypto-policies",
    include_str!("update_crypto_policies.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    policy: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { policy } = context.options()?;
    context
        .chroot()?
        .command("/usr/bin/update-crypto-policies")
        .args(["--set", &policy])
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_policy_is_set_in_the_tree() {
        osbuild_testing::needs![root];
        let ran = StageTest::new(&STAGE, json!({"policy": "DEFAULT:SHA1"}))
            .chroot_stand_in()
            .run()
            .success();
        assert_eq!(
            ran.log,
            "$ chroot TREE /usr/bin/update-crypto-policies --set DEFAULT:SHA1\n"
        );
    }
}
