//! Describes a distribution to the Windows Subsystem for Linux.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::Number;

use crate::shared::ini_file;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.wsl-distribution.conf",
    include_str!("wsl_distribution_conf.meta.json"),
    run,
);

const FILE: &str = "/etc/wsl-distribution.conf";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    oobe: Option<Oobe>,
    shortcut: Option<Shortcut>,
}

/// The first start: "out of box experience".
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Oobe {
    default_uid: Option<Number>,
    default_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shortcut {
    enabled: Option<bool>,
    icon: Option<String>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { oobe, shortcut } = context.options()?;
    let mut settings = Vec::new();
    if let Some(oobe) = oobe {
        settings.push((
            "oobe",
            "defaultUid",
            oobe.default_uid.map(|uid| uid.to_string()),
        ));
        settings.push(("oobe", "defaultName", oobe.default_name));
    }
    if let Some(shortcut) = shortcut {
        let is_enabled = shortcut.enabled.map(|is_enabled| is_enabled.to_string());
        settings.push(("shortcut", "enabled", is_enabled));
        settings.push(("shortcut", "icon", shortcut.icon));
    }
    settings.retain(|(_, _, value)| value.is_some());
    // An empty file would say something else than none.
    if settings.is_empty() {
        return Ok(());
    }
    let mut document = ini_file::read_or_new(context, FILE)?;
    for (section, name, value) in settings {
        document.set(section, name, &value.unwrap_or_default());
    }
    context.tree_path()?.write(FILE, document.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn what_is_given_is_written() {
        let options = json!({"oobe": {"default_uid": 1000, "default_name": "X"}, "shortcut": {"enabled": true, "icon": "/i"}});
        let ran = StageTest::new(&STAGE, options)
            .directory("etc")
            .run()
            .success();
        assert_eq!(
            ran.tree.lines().last(),
            Some(
                "etc/wsl-distribution.conf 0644 \"[oobe]\\ndefaultUid = 1000\\ndefaultName = X\\n\\n\
                 [shortcut]\\nenabled = true\\nicon = /i\""
            )
        );
        assert_eq!(StageTest::new(&STAGE, json!({})).run().success().tree, "");
    }
}
