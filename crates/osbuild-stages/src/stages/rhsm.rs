//! Configures subscription-manager.

use anyhow::Result;
use indexmap::IndexMap;
use osbuild_stage_api::{StageContext, StageError, StageModule};
use serde::Deserialize;

use crate::shared::ini_file;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.rhsm", include_str!("rhsm.meta.json"), run);

const FILE: &str = "/etc/rhsm/rhsm.conf";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default, rename = "dnf-plugins")]
    dnf_plugins: IndexMap<String, Plugin>,
    #[serde(default, rename = "yum-plugins")]
    yum_plugins: IndexMap<String, Plugin>,
    /// Switches by section; their names are up to the schema.
    #[serde(default, rename = "subscription-manager")]
    subscription_manager: IndexMap<String, IndexMap<String, bool>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plugin {
    enabled: Option<bool>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let tree = context.tree_path()?;
    let plugins = [
        ("/etc/dnf/plugins", &options.dnf_plugins),
        ("/etc/yum/pluginconf.d", &options.yum_plugins),
    ];
    for (directory, plugins) in plugins {
        for (name, plugin) in plugins {
            let Some(is_enabled) = plugin.enabled else {
                continue;
            };
            let file = format!("{directory}/{name}.conf");
            let mut document = ini_file::read(context, &file)?;
            document.set("main", "enabled", digit(is_enabled));
            tree.write(&file, document.text())?;
        }
    }
    if options.subscription_manager.is_empty() {
        return Ok(());
    }
    let mut document = ini_file::read(context, FILE)?;
    for (section, switches) in &options.subscription_manager {
        for (name, is_on) in switches {
            if !document.has_section(section) {
                let text = format!("No section: '{section}'");
                return Err(StageError::new("NoSectionError", text).into());
            }
            document.set(section, name, digit(*is_on));
        }
    }
    tree.write(FILE, document.text())
}

fn digit(is_on: bool) -> &'static str {
    if is_on { "1" } else { "0" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::{ExitWith, testing::StageTest};
    use serde_json::json;

    #[test]
    fn plugins_and_the_program_are_configured() {
        let options = json!({
            "dnf-plugins": {"product-id": {"enabled": false}, "subscription-manager": {}},
            "yum-plugins": {"subscription-manager": {"enabled": true}},
            "subscription-manager": {"rhsm": {"manage_repos": false}, "rhsmcertd": {"auto_registration": true}},
        });
        let ran = StageTest::new(&STAGE, options)
            .file("etc/dnf/plugins/product-id.conf", "[main]\nenabled=1\n")
            .file("etc/yum/pluginconf.d/subscription-manager.conf", "")
            .file(FILE, "[rhsm]\nmanage_repos = 1\n\n[rhsmcertd]\nx = 1\n")
            .run()
            .success();
        let lines: Vec<_> = ran
            .tree
            .lines()
            .filter(|line| line.contains(".conf 0644"))
            .collect();
        assert_eq!(
            lines,
            [
                "etc/dnf/plugins/product-id.conf 0644 \"[main]\\nenabled=0\\n\"",
                "etc/rhsm/rhsm.conf 0644 \"[rhsm]\\nmanage_repos = 0\\n\\n[rhsmcertd]\\nx = 1\\nauto_registration = 1\\n\"",
                "etc/yum/pluginconf.d/subscription-manager.conf 0644 \"[main]\\nenabled = 1\"",
            ]
        );
    }

    #[test]
    fn files_must_be_there() {
        let options = json!({"subscription-manager": {"rhsm": {"manage_repos": false}}});
        let ran = StageTest::new(&STAGE, options).run();
        assert_eq!(ran.log, "Error: /etc/rhsm/rhsm.conf does not exist\n");
        assert_eq!(ran.result.unwrap_err().downcast_ref(), Some(&ExitWith(1)));
    }
}
