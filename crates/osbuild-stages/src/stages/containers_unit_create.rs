//! Writes a Quadlet unit for Podman.

use anyhow::{Result, bail};
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::ini::{Ini, unit_str};

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.containers.unit.create",
    include_str!("containers_unit_create.meta.json"),
    run,
);

/// The longest name a file can have, in bytes.
const NAME_MAX: usize = 255;
/// What each type of unit must say.
const SECTIONS: [(&str, &str); 3] = [
    (".container", "Container"),
    (".volume", "Volume"),
    (".network", "Network"),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    config: Map<String, Value>,
    #[serde(default, rename = "unit-path")]
    unit_path: UnitPath,
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
        unit_path,
    } = context.options()?;
    check(&filename, &config)?;
    let directory = match unit_path {
        UnitPath::Usr => "/usr/share/containers/systemd",
        UnitPath::Etc => "/etc/containers/systemd",
    };
    let mut ini = Ini::default();
    ini.sections(&config, unit_str);
    context
        .tree_path()?
        .write(format!("{directory}/{filename}"), ini.into_text())
}

fn check(filename: &str, config: &Map<String, Value>) -> Result<()> {
    if filename.len() > NAME_MAX {
        bail!("Error: the {filename} unit exceeds the maximum filename length.");
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
    fn a_unit_must_have_the_section_of_its_type() {
        for (filename, error) in [
            (
                "x.container".to_owned(),
                "ValueError: Error: x.container unit requires Container section".to_owned(),
            ),
            (
                "x.volume".to_owned(),
                "ValueError: Error: x.volume unit requires Volume section".to_owned(),
            ),
            (
                "x".repeat(256),
                format!(
                    "ValueError: Error: the {} unit exceeds the maximum filename length.",
                    "x".repeat(256)
                ),
            ),
        ] {
            let options = json!({"filename": filename, "config": {"Unit": {}}});
            let ran = StageTest::new(&STAGE, options).run();
            assert_eq!((ran.error(), ran.tree.as_str()), (error.as_str(), ""));
        }
    }
}
