//! Chooses how users log in.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.authselect",
    include_str!("authselect.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    profile: String,
    #[serde(default)]
    features: Vec<String>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { profile, features } = context.options()?;
    context
        .command("chroot")
        .arg(context.tree())
        .args(["/usr/bin/authselect", "select", "--force", "--nobackup"])
        .arg(profile)
        .args(features)
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_profile_is_selected_in_the_tree() {
        let options = json!({"profile": "sssd", "features": ["with-mkhomedir", "with-sudo"]});
        let ran = StageTest::new(&STAGE, options)
            .program("chroot", "true")
            .run()
            .success();
        assert_eq!(
            ran.log,
            "$ chroot TREE /usr/bin/authselect select --force --nobackup sssd with-mkhomedir with-sudo\n"
        );
    }
}
