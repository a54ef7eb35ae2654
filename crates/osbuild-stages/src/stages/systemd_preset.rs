//! Says which units start by default.

use anyhow::Result;
use std::collections::HashSet;
use std::fmt::Write;

use osbuild_stage_api::{StageContext, StageError, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.systemd.preset",
    include_str!("systemd_preset.meta.json"),
    run,
);

const FILE: &str = "/usr/lib/systemd/system-preset/50-osbuild.preset";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    presets: Vec<Preset>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Preset {
    name: String,
    state: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { presets } = context.options()?;
    if presets.is_empty() {
        return Ok(());
    }
    let mut seen = HashSet::new();
    let mut text = String::new();
    for Preset { name, state } in &presets {
        if !seen.insert(name) {
            return Err(StageError::new(
                "RuntimeError",
                format!("'{name}' has multiple defined states."),
            )
            .into());
        }
        writeln!(text, "{state} {name}")?;
    }
    context.tree_path()?.write(FILE, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn presets_are_written_in_order() {
        let options = json!({"presets": [{"name": "b", "state": "enable"}, {"name": "a", "state": "disable"}]});
        let test = StageTest::new(&STAGE, options).directory("usr/lib/systemd/system-preset");
        test.run().success();
        assert_eq!(
            fs_err::read_to_string(test.path(FILE)).unwrap(),
            "enable b\ndisable a\n"
        );
    }

    #[test]
    fn without_presets_nothing_is_written() {
        assert_eq!(StageTest::new(&STAGE, json!({})).run().success().tree, "");
    }

    #[test]
    fn a_unit_named_twice_is_an_error() {
        let options = json!({"presets": [{"name": "a", "state": "enable"}, {"name": "a", "state": "enable"}]});
        assert_eq!(
            StageTest::new(&STAGE, options).run().error(),
            "RuntimeError: 'a' has multiple defined states."
        );
    }
}
