//! Configures automatic updates by DNF.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::ini::python_str;
use crate::shared::ini_file;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.dnf-automatic.config",
    include_str!("dnf_automatic_config.meta.json"),
    run,
);

const FILE: &str = "/etc/dnf/automatic.conf";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The order of the options is kept.
    config: Option<Map<String, Value>>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { config } = context.options()?;
    let Some(config) = config else {
        return Ok(());
    };
    let mut document = ini_file::read_or_new(context, FILE)?;
    for (section, options) in &config {
        document.add_section(section);
        for (name, value) in options.as_object().into_iter().flatten() {
            document.set(section, name, &text(value));
        }
    }
    context.tree_path()?.write(FILE, document.text())
}

fn text(value: &Value) -> String {
    match value {
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        value => python_str(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn without_a_configuration_nothing_is_written() {
        let test = StageTest::new(&STAGE, json!({}));
        assert_eq!(test.run().success().tree, "");
    }
}
