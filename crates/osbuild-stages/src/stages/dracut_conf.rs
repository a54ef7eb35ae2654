//! Configures dracut.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::ini::python_str;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.dracut.conf",
    include_str!("dracut_conf.meta.json"),
    run,
);

const DIRECTORY: &str = "/usr/lib/dracut/dracut.conf.d";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    /// What is there is up to the schema; the form of a value says how it is written.
    config: Map<String, Value>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { filename, config } = context.options()?;
    let tree = context.tree_path()?;
    tree.create_dir_all(DIRECTORY)?;
    let text: String = config
        .iter()
        .map(|(option, value)| line(option, value))
        .collect();
    tree.write(format!("{DIRECTORY}/{filename}"), text)
}

fn line(option: &str, value: &Value) -> String {
    match value {
        Value::Bool(is_on) => format!("{option}=\"{}\"\n", if *is_on { "yes" } else { "no" }),
        Value::Array(items) => {
            let words: Vec<_> = items.iter().map(python_str).collect();
            // dracut adds lists up, and looks for words between spaces.
            format!("{option}+=\" {} \"\n", words.join(" "))
        }
        value => format!("{option}=\"{}\"\n", python_str(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn texts_lists_and_switches_are_written() {
        let config = json!({"compress": "xz", "add_drivers": ["a", "b"], "reproducible": true, "early_microcode": false});
        let ran = StageTest::new(&STAGE, json!({"filename": "x.conf", "config": config}))
            .run()
            .success();
        assert_eq!(
            ran.tree.lines().last(),
            Some(
                "usr/lib/dracut/dracut.conf.d/x.conf 0644 \"compress=\\\"xz\\\"\\nadd_drivers+=\\\" a b \\\"\\n\
                 reproducible=\\\"yes\\\"\\nearly_microcode=\\\"no\\\"\\n\""
            )
        );
    }
}
