//! Configures DNF.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::ini::python_str;
use crate::shared::ini_file;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.dnf.config",
    include_str!("dnf_config.meta.json"),
    run,
);

const DIRECTORY: &str = "/etc/dnf";
const FILE: &str = "/etc/dnf/dnf.conf";
const FILE_MODE: u32 = 0o644;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    variables: Vec<Variable>,
    /// The order of the options is kept.
    #[serde(default)]
    config: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    value: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { variables, config } = context.options()?;
    let tree = context.tree_path()?;
    for Variable { name, value } in variables {
        tree.write(format!("{DIRECTORY}/vars/{name}"), format!("{value}\n"))?;
    }
    if config.is_empty() {
        return Ok(());
    }
    let mut document = ini_file::read_or_new(context, FILE)?;
    for (section, options) in &config {
        document.add_section(section);
        for (name, value) in options.as_object().into_iter().flatten() {
            document.set(section, name, &text(value));
        }
    }
    tree.create_dir_all(DIRECTORY)?;
    tree.write(FILE, document.text())?;
    tree.chmod(FILE, FILE_MODE)
}

fn text(value: &Value) -> String {
    match value {
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
    fn the_directory_of_variables_must_be_there() {
        let options = json!({"variables": [{"name": "x", "value": "y"}]});
        assert_eq!(
            StageTest::new(&STAGE, options)
                .run()
                .error()
                .split(':')
                .next(),
            Some("FileNotFoundError")
        );
    }

    #[test]
    fn an_empty_configuration_leaves_the_file_alone() {
        let test = StageTest::new(&STAGE, json!({"config": {}}));
        assert_eq!(test.run().success().tree, "");
    }
}
