//! Sets the language of the system.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::firstboot::{self, Setting};

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.locale", include_str!("locale.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    language: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { language } = context.options()?;
    firstboot::replace(context, Setting::Locale(&language))
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_setting_of_a_package_is_replaced() {
        let test = StageTest::new(&STAGE, json!({"language": "en_GB.UTF-8"}))
            .file("/etc/locale.conf", "default\n")
            .program(
                "systemd-firstboot",
                r#"echo "$2" >"${1#--root=}/etc/locale.conf""#,
            );
        let ran = test.run().success();
        assert_eq!(
            ran.tree,
            "etc/ 0755\netc/locale.conf 0644 \"--locale=en_GB.UTF-8\\n\"\n"
        );
        assert_eq!(
            ran.log,
            "/etc/locale.conf already exists. Replacing.\n$ systemd-firstboot --root=TREE --locale=en_GB.UTF-8\n"
        );
    }

    #[test]
    fn a_setting_that_systemd_refuses_fails_the_stage() {
        let test = StageTest::new(&STAGE, json!({"language": "?"}))
            .directory("etc")
            .program("systemd-firstboot", "echo not valid >&2; exit 1");
        assert_eq!(
            test.run().error(),
            "CalledProcessError: Command '['systemd-firstboot', '--root=TREE', '--locale=?']' \
             returned non-zero exit status 1."
        );
    }
}
