//! Limits what users may take.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::Value;

use crate::shared::ini::python_str;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.pam.limits.conf",
    include_str!("pam_limits_conf.meta.json"),
    run,
);

const DIRECTORY: &str = "/etc/security/limits.d";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    config: Vec<Limit>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    domain: String,
    r#type: String,
    item: String,
    value: Value,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { filename, config } = context.options()?;
    let lines = config.iter().map(
        |Limit {
             domain,
             r#type,
             item,
             value,
         }| format!("{domain} {type} {item} {}\n", python_str(value)),
    );
    context
        .tree_path()?
        .write(format!("{DIRECTORY}/{filename}"), lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn limits_are_lines() {
        let config = json!([
            {"domain": "@users", "type": "hard", "item": "nproc", "value": 50},
            {"domain": "*", "type": "-", "item": "core", "value": "unlimited"},
        ]);
        let test = StageTest::new(&STAGE, json!({"filename": "x.conf", "config": config}))
            .directory("etc/security/limits.d");
        assert_eq!(
            test.run().success().tree.lines().last(),
            Some(
                "etc/security/limits.d/x.conf 0644 \"@users hard nproc 50\\n* - core unlimited\\n\""
            )
        );
    }
}
