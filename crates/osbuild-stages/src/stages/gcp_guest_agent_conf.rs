//! Configures Google's guest agent.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::ini::python_str;
use crate::shared::ini_file;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.gcp.guest-agent.conf",
    include_str!("gcp_guest_agent_conf.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    config_scope: Option<String>,
    config: Map<String, Value>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options {
        config_scope,
        config,
    } = context.options()?;
    let tree = context.tree_path()?;
    tree.create_dir_all("/etc/default")?;
    let file = match config_scope.as_deref() {
        Some("distro") => "/etc/default/instance_configs.cfg.distro",
        _ => "/etc/default/instance_configs.cfg",
    };
    let mut document = ini_file::read_or_new(context, file)?;
    for (section, options) in &config {
        document.add_section(section);
        for (option, value) in options.as_object().into_iter().flatten() {
            document.set(section, option, &text(value));
        }
    }
    tree.write(file, document.text())
}

fn text(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Array(items) => items.iter().map(python_str).collect::<Vec<_>>().join(", "),
        value => python_str(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn options_are_changed_and_added() {
        let config = json!({"Accounts": {"groups": ["adm", "video"], "useradd_cmd": "x"},
                            "InstanceSetup": {"set_boto_config": false}});
        let ran = StageTest::new(&STAGE, json!({"config_scope": "distro", "config": config}))
            .file(
                "etc/default/instance_configs.cfg.distro",
                "[Accounts]\n# c\ngroups = adm\nother = 1\n",
            )
            .run()
            .success();
        assert_eq!(
            ran.tree.lines().last(),
            Some(
                "etc/default/instance_configs.cfg.distro 0644 \"[Accounts]\\n# c\\ngroups = adm, video\\nother = 1\\n\
                 useradd_cmd = x\\n\\n\\n[InstanceSetup]\\nset_boto_config = false\""
            )
        );
    }

    #[test]
    fn a_file_that_is_missing_is_made() {
        let config = json!({"Daemons": {"accounts_daemon": true}});
        let ran = StageTest::new(&STAGE, json!({"config": config}))
            .run()
            .success();
        assert_eq!(
            ran.tree.lines().last(),
            Some("etc/default/instance_configs.cfg 0644 \"[Daemons]\\naccounts_daemon = true\"")
        );
    }
}
