//! Sets kernel parameters at boot.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.sysctld",
    include_str!("sysctld.meta.json"),
    run,
);

const DIRECTORY: &str = "/usr/lib/sysctl.d";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    config: Vec<Parameter>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameter {
    key: String,
    #[serde(default)]
    value: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { filename, config } = context.options()?;
    let text: String = config.iter().map(line).collect();
    context
        .tree_path()?
        .write(format!("{DIRECTORY}/{filename}"), text)
}

fn line(parameter: &Parameter) -> String {
    match parameter {
        Parameter { key, value } if value.is_empty() => format!("{key}\n"),
        Parameter { key, value } => format!("{key} = {value}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn parameters_are_lines() {
        let config = json!([{"key": "net.ipv4.ip_forward", "value": "1"}, {"key": "-net.ipv4.conf.all.rp_filter"}]);
        let test = StageTest::new(&STAGE, json!({"filename": "x.conf", "config": config}))
            .directory("usr/lib/sysctl.d");
        assert_eq!(
            test.run().success().tree.lines().last(),
            Some(
                "usr/lib/sysctl.d/x.conf 0644 \"net.ipv4.ip_forward = 1\\n-net.ipv4.conf.all.rp_filter\\n\""
            )
        );
    }
}
