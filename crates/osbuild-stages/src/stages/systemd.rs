//! Enables, disables and masks units.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::unit_links::{self, Verb};

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.systemd",
    include_str!("systemd.meta.json"),
    run,
);

const GENERATORS: &str = "/etc/systemd/system-generators";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    enabled_services: Vec<String>,
    #[serde(default)]
    disabled_services: Vec<String>,
    #[serde(default)]
    masked_services: Vec<String>,
    #[serde(default)]
    masked_generators: Vec<String>,
    #[serde(default)]
    default_target: String,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let lists = [
        (Verb::Enable, &options.enabled_services),
        (Verb::Disable, &options.disabled_services),
        (Verb::Mask, &options.masked_services),
    ];
    for (verb, services) in lists {
        for service in services {
            unit_links::change(context, verb, service)?;
        }
    }
    if !options.masked_generators.is_empty() {
        let tree = context.tree_path()?;
        tree.create_dir_all(GENERATORS)?;
        // `systemctl` masks units only.
        for generator in &options.masked_generators {
            tree.symlink("/dev/null", format!("{GENERATORS}/{generator}"))?;
        }
    }
    if options.default_target.is_empty() {
        return Ok(());
    }
    unit_links::change(context, Verb::SetDefault, &options.default_target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn units_are_handled_one_by_one_and_in_order() {
        let options = json!({
            "default_target": "multi-user.target",
            "masked_services": ["c.service"],
            "disabled_services": ["b.timer"],
            "enabled_services": ["a.service", "ssh.socket"],
            "masked_generators": ["g1", "g2"],
        });
        let ran = StageTest::new(&STAGE, options)
            .program("systemctl", "true")
            .run()
            .success();
        assert_eq!(
            ran.log,
            "$ systemctl --root TREE enable -- a.service\n$ systemctl --root TREE enable -- ssh.socket\n\
             $ systemctl --root TREE disable -- b.timer\n$ systemctl --root TREE mask -- c.service\n\
             $ systemctl --root TREE set-default multi-user.target\n"
        );
        assert_eq!(
            ran.tree,
            "etc/ 0755\netc/systemd/ 0755\netc/systemd/system-generators/ 0755\n\
             etc/systemd/system-generators/g1 -> /dev/null\netc/systemd/system-generators/g2 -> /dev/null\n"
        );
    }

    #[test]
    fn systemctl_itself_does_what_is_wanted() {
        osbuild_testing::needs![tool("systemctl")];
        let unit = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
        let options =
            json!({"enabled_services": ["a.service"], "default_target": "multi-user.target"});
        let test = StageTest::new(&STAGE, options)
            .file("usr/lib/systemd/system/a.service", unit)
            .file("usr/lib/systemd/system/multi-user.target", "[Unit]\n");
        let ran = test.run().success();
        let links: Vec<_> = ran
            .tree
            .lines()
            .filter(|line| line.contains(" -> "))
            .collect();
        assert_eq!(links.len(), 2, "{links:?}");
        assert!(
            links[0].starts_with("etc/systemd/system/default.target -> "),
            "{links:?}"
        );
        assert!(
            links[1].starts_with("etc/systemd/system/multi-user.target.wants/a.service -> "),
            "{links:?}"
        );
    }

    #[test]
    fn a_unit_that_is_not_there_fails_the_stage() {
        let test = StageTest::new(
            &STAGE,
            json!({"enabled_services": ["x.service", "never.service"]}),
        )
        .program(
            "systemctl",
            "echo 'Unit x.service does not exist' >&2; exit 1",
        );
        let ran = test.run();
        assert_eq!(
            ran.error(),
            "CalledProcessError: Command '['systemctl', '--root', 'TREE', 'enable', '--', 'x.service']' \
             returned non-zero exit status 1."
        );
        assert!(!ran.log.contains("never"));
    }
}
