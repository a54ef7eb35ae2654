//! Enables a module of DNF.

use anyhow::{Context, Result};
use osbuild_stage_api::{StageContext, StageError, StageModule};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::ini::{Ini, python_str};

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.dnf.module-config",
    include_str!("dnf_module_config.meta.json"),
    run,
);

const DIRECTORY: &str = "/etc/dnf/modules.d";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The order of the options is kept.
    conf: Map<String, Value>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { conf } = context.options()?;
    let name = entry(&conf, "name")?
        .as_str()
        .context("the name of the module is no text")?;
    entry(&conf, "profiles")?;
    let mut ini = Ini::default();
    ini.spaced_section(
        name,
        conf.iter()
            .map(|(option, value)| (option.as_str(), text(value))),
    );
    let tree = context.tree_path()?;
    tree.create_dir_all(DIRECTORY)?;
    tree.write(format!("{DIRECTORY}/{name}.module"), ini.into_text())
}

/// The schema lets all of them be missing; the file needs these.
fn entry<'a>(conf: &'a Map<String, Value>, name: &str) -> Result<&'a Value> {
    let missing = || StageError::new("KeyError", format!("the module has no `{name}`"));
    Ok(conf.get(name).ok_or_else(missing)?)
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
    fn a_module_needs_its_name_and_profiles() {
        for (conf, error) in [
            (
                json!({"profiles": []}),
                "KeyError: the module has no `name`",
            ),
            (
                json!({"name": "x"}),
                "KeyError: the module has no `profiles`",
            ),
        ] {
            let ran = StageTest::new(&STAGE, json!({"conf": conf})).run();
            assert_eq!((ran.error(), ran.tree.as_str()), (error, ""));
        }
    }
}
