//! Configures cloud-init.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::python_yaml;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.cloud-init",
    include_str!("cloud_init.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    config: Map<String, Value>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { filename, config } = context.options()?;
    // Whoever reads this list first looks for it in a single line.
    let text = python_yaml::dump(&config, &["datasource_list"]);
    context
        .tree_path()?
        .write(format!("/etc/cloud/cloud.cfg.d/{filename}"), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn settings_are_sorted_and_the_list_has_one_line() {
        let config = json!({"system_info": {"default_user": {"name": "ec2-user"}}, "ssh_pwauth": false,
                            "datasource_list": ["Azure", "None"]});
        let ran = StageTest::new(&STAGE, json!({"filename": "x.cfg", "config": config}))
            .directory("etc/cloud/cloud.cfg.d")
            .run()
            .success();
        assert_eq!(
            ran.tree.lines().last(),
            Some(
                "etc/cloud/cloud.cfg.d/x.cfg 0644 \"datasource_list: [Azure, None]\\nssh_pwauth: false\\n\
                 system_info:\\n  default_user:\\n    name: ec2-user\\n\""
            )
        );
    }

    #[test]
    fn without_cloud_init_there_is_nothing_to_configure() {
        let options = json!({"filename": "x.cfg", "config": {"ssh_pwauth": true}});
        let ran = StageTest::new(&STAGE, options).run();
        assert_eq!(ran.error().split(':').next(), Some("FileNotFoundError"));
    }
}
