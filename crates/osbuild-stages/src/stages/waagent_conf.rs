//! Configures Azure's agent.

use anyhow::Result;
use indexmap::IndexMap;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::setting_lines;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.waagent.conf",
    include_str!("waagent_conf.meta.json"),
    run,
);

const FILE: &str = "/etc/waagent.conf";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    config: Config,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(rename = "Provisioning.UseCloudInit")]
    use_cloud_init: Option<bool>,
    #[serde(rename = "Provisioning.Enabled")]
    is_enabled: Option<bool>,
    #[serde(rename = "ResourceDisk.Format")]
    format: Option<bool>,
    #[serde(rename = "ResourceDisk.EnableSwap")]
    enable_swap: Option<bool>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { config } = context.options()?;
    let settings = [
        ("Provisioning.UseCloudInit", config.use_cloud_init),
        ("Provisioning.Enabled", config.is_enabled),
        ("ResourceDisk.Format", config.format),
        ("ResourceDisk.EnableSwap", config.enable_swap),
    ];
    let changes: IndexMap<_, _> = settings
        .into_iter()
        .filter_map(|(name, is_on)| Some((name, if is_on? { "y" } else { "n" })))
        .map(|(name, letter)| (name.to_owned(), letter.to_owned()))
        .collect();
    let tree = context.tree_path()?;
    setting_lines::change_file(&tree, FILE, "=", changes, str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    fn run_on(options: serde_json::Value, before: &str) -> String {
        let test = StageTest::new(&STAGE, options).file(FILE, before);
        test.run().success();
        fs_err::read_to_string(test.path(FILE)).unwrap()
    }

    #[test]
    fn settings_are_found_whatever_their_case() {
        let config = json!({"Provisioning.Enabled": false, "ResourceDisk.Format": true});
        assert_eq!(
            run_on(
                json!({"config": config}),
                "# Provisioning.Enabled=y\nprovisioning.enabled=y\nA=b=c\n"
            ),
            "# Provisioning.Enabled=y\nprovisioning.enabled=n\nA=b=c\nResourceDisk.Format=y\n"
        );
    }
}
