//! Writes a unit file.

use anyhow::Result;
use anyhow::bail;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::ini::{Ini, unit_str};

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.systemd.unit.create",
    include_str!("systemd_unit_create.meta.json"),
    run,
);

/// The longest name a file can have, in bytes.
const NAME_MAX: usize = 255;
/// What each type of unit must say.
const SECTIONS: [(&str, &str); 4] = [
    (".service", "Service"),
    (".mount", "Mount"),
    (".socket", "Socket"),
    (".swap", "Swap"),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    config: Map<String, Value>,
    #[serde(default, rename = "unit-type")]
    unit_type: UnitType,
    #[serde(default, rename = "unit-path")]
    unit_path: UnitPath,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UnitType {
    #[default]
    System,
    Global,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UnitPath {
    #[default]
    Usr,
    Etc,
}

fn run(context: &StageContext) -> Result<()> {
    let Options {
        filename,
        config,
        unit_type,
        unit_path,
    } = context.options()?;
    check(&filename, &config)?;
    let top = match unit_path {
        UnitPath::Usr => "/usr/lib/systemd",
        UnitPath::Etc => "/etc/systemd",
    };
    let directory = match unit_type {
        UnitType::System => "system",
        UnitType::Global => "user",
    };
    let mut ini = Ini::default();
    ini.sections(&config, unit_str);
    context
        .tree_path()?
        .write(format!("{top}/{directory}/{filename}"), ini.into_text())
}

fn check(filename: &str, config: &Map<String, Value>) -> Result<()> {
    if filename.len() > NAME_MAX {
        bail!("Error: the {filename} service exceeds the maximum filename length.");
    }
    for (suffix, section) in SECTIONS {
        if filename.ends_with(suffix) && !config.contains_key(section) {
            bail!("Error: {filename} unit requires {section} section");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn a_service_is_written_where_it_belongs() {
        let config = json!({
            "Unit": {"Description": "Something", "After": ["a.target", "b.target"], "DefaultDependencies": true},
            "Service": {"Type": "oneshot", "RemainAfterExit": true, "ExecStart": ["/bin/a", "/bin/b"],
                        "Environment": [{"key": "K", "value": "v"}]},
            "Install": {"WantedBy": ["multi-user.target"]},
        });
        for (more, directory) in [
            (json!({}), "usr/lib/systemd/system"),
            (json!({"unit-path": "etc"}), "etc/systemd/system"),
            (json!({"unit-type": "global"}), "usr/lib/systemd/user"),
            (
                json!({"unit-type": "global", "unit-path": "etc"}),
                "etc/systemd/user",
            ),
        ] {
            let mut options = json!({"filename": "a.service", "config": config});
            options
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let test = StageTest::new(&STAGE, options).directory(directory);
            test.run().success();
            assert_eq!(
                fs_err::read_to_string(test.path(directory).join("a.service")).unwrap(),
                "[Unit]\nDescription=Something\nAfter=a.target\nAfter=b.target\nDefaultDependencies=True\n\n\
                 [Service]\nType=oneshot\nRemainAfterExit=True\nExecStart=/bin/a\nExecStart=/bin/b\n\
                 Environment=\"K=v\"\n\n[Install]\nWantedBy=multi-user.target\n\n"
            );
        }
    }

    #[test]
    fn a_unit_must_say_what_its_type_needs() {
        for (filename, section) in [
            ("a.service", "Service"),
            ("a.mount", "Mount"),
            ("a.socket", "Socket"),
            ("a.swap", "Swap"),
        ] {
            let test = StageTest::new(
                &STAGE,
                json!({"filename": filename, "config": {"Unit": {}}}),
            );
            assert_eq!(
                test.run().error(),
                format!("ValueError: Error: {filename} unit requires {section} section")
            );
        }
    }

    #[test]
    fn the_directory_must_be_there() {
        let test = StageTest::new(
            &STAGE,
            json!({"filename": "a.service", "config": {"Service": {}}}),
        );
        assert_eq!(
            test.run().error(),
            "FileNotFoundError: opening TREE/usr/lib/systemd/system/a.service: No such file or directory (os error 2)"
        );
    }
}
