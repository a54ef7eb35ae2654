//! Sets the name of the machine.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::firstboot::{self, Setting};

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.hostname",
    include_str!("hostname.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    hostname: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { hostname } = context.options()?;
    firstboot::replace(context, Setting::Hostname(&hostname))
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    /// Stands in for `systemd-firstboot`: does what it does with these arguments.
    const FIRSTBOOT: &str = r#"echo "${2#--hostname=}" >"${1#--root=}/etc/hostname""#;

    #[test]
    fn the_name_of_a_package_is_replaced() {
        let test = StageTest::new(&STAGE, json!({"hostname": "debian"}))
            .file("etc/hostname", "localhost\n")
            .program("systemd-firstboot", FIRSTBOOT);
        let ran = test.run().success();
        assert_eq!(ran.tree, "etc/ 0755\netc/hostname 0644 \"debian\\n\"\n");
        assert_eq!(
            ran.log,
            "/etc/hostname already exists. Replacing.\n$ systemd-firstboot --root=TREE --hostname=debian\n"
        );
    }

    #[test]
    fn a_name_that_systemd_refuses_fails_the_stage() {
        let test = StageTest::new(&STAGE, json!({"hostname": "-"}))
            .directory("etc")
            .program(
                "systemd-firstboot",
                "echo 'Host name - is not valid.' >&2; exit 1",
            );
        assert_eq!(
            test.run().error(),
            "CalledProcessError: Command '['systemd-firstboot', '--root=TREE', '--hostname=-']' \
             returned non-zero exit status 1."
        );
    }

    #[test]
    fn the_link_of_a_hostile_tree_is_removed_not_followed() {
        let test = StageTest::new(&STAGE, json!({"hostname": "debian"}));
        let outside = test.workspace().join("outside");
        fs_err::write(&outside, "untouched").unwrap();
        let test = test
            .symlink("etc/hostname", &outside.display().to_string())
            .program("systemd-firstboot", FIRSTBOOT);
        assert_eq!(
            test.run().success().tree,
            "etc/ 0755\netc/hostname 0644 \"debian\\n\"\n"
        );
        assert_eq!(fs_err::read_to_string(outside).unwrap(), "untouched");
    }
}
