//! Sets the time zone.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::firstboot::{self, Setting};

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.timezone",
    include_str!("timezone.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    zone: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { zone } = context.options()?;
    firstboot::replace(context, Setting::Timezone(&zone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_setting_of_a_package_is_replaced() {
        let test = StageTest::new(&STAGE, json!({"zone": "Europe/Paris"}))
            .file("/etc/localtime", "default\n")
            .program(
                "systemd-firstboot",
                r#"echo "$2" >"${1#--root=}/etc/localtime""#,
            );
        let ran = test.run().success();
        assert_eq!(
            ran.tree,
            "etc/ 0755\netc/localtime 0644 \"--timezone=Europe/Paris\\n\"\n"
        );
        assert_eq!(
            ran.log,
            "/etc/localtime already exists. Replacing.\n$ systemd-firstboot --root=TREE --timezone=Europe/Paris\n"
        );
    }

    #[test]
    fn a_setting_that_systemd_refuses_fails_the_stage() {
        let test = StageTest::new(&STAGE, json!({"zone": "?"}))
            .directory("etc")
            .program("systemd-firstboot", "echo not valid >&2; exit 1");
        assert_eq!(
            test.run().error(),
            "CalledProcessError: Command '['systemd-firstboot', '--root=TREE', '--timezone=?']' \
             returned non-zero exit status 1."
        );
    }
}
