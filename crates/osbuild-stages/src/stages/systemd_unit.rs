//! Adds to a unit by a drop-in file.

use anyhow::Result;
use anyhow::bail;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::ini::{Ini, unit_str};

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.systemd.unit",
    include_str!("systemd_unit.meta.json"),
    run,
);

/// The longest name a file can have, in bytes.
const NAME_MAX: usize = 255;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    unit: String,
    dropin: String,
    config: Map<String, Value>,
    #[serde(default, rename = "unit-type")]
    unit_type: UnitType,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UnitType {
    #[default]
    System,
    Global,
}

fn run(context: &StageContext) -> Result<()> {
    let Options {
        unit,
        dropin,
        config,
        unit_type,
    } = context.options()?;
    let name = format!("{unit}.d");
    if name.len() > NAME_MAX {
        bail!("Error: the {unit} unit drop-in directory exceeds the maximum filename length.");
    }
    let directory = match unit_type {
        UnitType::System => format!("/usr/lib/systemd/system/{name}"),
        UnitType::Global => format!("/usr/lib/systemd/user/{name}"),
    };
    let mut ini = Ini::default();
    ini.sections(&config, unit_str);
    let tree = context.tree_path()?;
    tree.create_dir_all(&directory)?;
    tree.write(format!("{directory}/{dropin}"), ini.into_text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn a_drop_in_is_written_for_the_system_or_for_every_user() {
        let config = json!({
            "Unit": {"ConditionPathExists": "/etc/x"},
            "Service": {"Environment": [{"key": "A", "value": "1"}, {"key": "B", "value": "2 3"}]},
        });
        for (unit_type, directory) in [("system", "system"), ("global", "user")] {
            let options = json!({"unit": "a.service", "dropin": "x.conf", "config": config, "unit-type": unit_type});
            let test = StageTest::new(&STAGE, options);
            test.run().success();
            let file = test.path(&format!("usr/lib/systemd/{directory}/a.service.d/x.conf"));
            assert_eq!(
                fs_err::read_to_string(file).unwrap(),
                "[Unit]\nConditionPathExists=/etc/x\n\n[Service]\nEnvironment=\"A=1\"\nEnvironment=\"B=2 3\"\n\n"
            );
        }
    }

    #[test]
    fn an_environment_of_one_text_is_written_as_it_is() {
        let options = json!({"unit": "a.service", "dropin": "x.conf", "config": {"Service": {"Environment": "A=1"}}});
        let ran = StageTest::new(&STAGE, options).run().success();
        assert!(
            ran.tree
                .ends_with("x.conf 0644 \"[Service]\\nEnvironment=A=1\\n\\n\"\n"),
            "{}",
            ran.tree
        );
    }

    #[test]
    fn a_name_that_no_file_can_have_is_an_error() {
        let unit = format!("{}.service", "a".repeat(250));
        let test = StageTest::new(
            &STAGE,
            json!({"unit": unit, "dropin": "x.conf", "config": {}}),
        );
        assert_eq!(
            test.run().error(),
            format!(
                "ValueError: Error: the {unit} unit drop-in directory exceeds the maximum filename length."
            )
        );
    }
}
