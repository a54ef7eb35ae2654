//! Sets macros of RPM.

use std::path::Path;

use anyhow::{Context, Result};
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::ini::python_str;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.rpm.macros",
    include_str!("rpm_macros.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    /// The order of the macros is kept.
    macros: Map<String, Value>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { filename, macros } = context.options()?;
    let text: Vec<String> = macros
        .iter()
        .map(|(name, value)| Ok(format!("%{name} {}\n", text(name, value)?)))
        .collect::<Result<_>>()?;
    let tree = context.tree_path()?;
    if let Some(directory) = Path::new(&filename).parent() {
        tree.create_dir_all(directory)?;
    }
    tree.write(&filename, text.concat())
}

fn text(name: &str, value: &Value) -> Result<String> {
    if name != "_install_langs" {
        return Ok(python_str(value));
    }
    let languages = value.as_array().context("`_install_langs` is no list")?;
    Ok(languages
        .iter()
        .map(python_str)
        .collect::<Vec<_>>()
        .join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn languages_are_a_list() {
        let options = json!({"filename": "x", "macros": {"_install_langs": "de"}});
        let ran = StageTest::new(&STAGE, options).run();
        assert_eq!(ran.error(), "ValueError: `_install_langs` is no list");
        assert_eq!(ran.tree, "");
    }
}
