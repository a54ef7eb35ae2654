//! Configures `NetworkManager`.

use anyhow::Result;
use std::path::PathBuf;

use anyhow::{Context, bail};
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::ini::{Ini, network_manager_str};
use crate::shared::secret_file;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.nm.conf",
    include_str!("nm_conf.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    path: PathBuf,
    settings: Map<String, Value>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { path, settings } = context.options()?;
    let mut ini = Ini::default();
    for (name, section) in &settings {
        match section {
            Value::Object(lines) => add_section(&mut ini, name, lines),
            // Sections there may be several of: each has a name of its own.
            Value::Array(sections) => sections
                .iter()
                .try_for_each(|section| add_named_section(&mut ini, name, section))?,
            _ => bail!("the section `{name}` is neither an object nor a list"),
        }
    }
    secret_file::write(context, &path, &ini.into_text())
}

fn add_section(ini: &mut Ini, name: &str, lines: &Map<String, Value>) {
    ini.section(
        name,
        lines
            .iter()
            .map(|(option, value)| (option.as_str(), network_manager_str(value))),
    );
}

fn add_named_section(ini: &mut Ini, kind: &str, section: &Value) -> Result<()> {
    let lines = section.get("config").and_then(Value::as_object);
    let lines = lines.with_context(|| format!("a section `{kind}` has no `config`"))?;
    match section
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
    {
        "" => add_section(ini, kind, lines),
        name => add_section(ini, &format!("{kind}-{name}"), lines),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn sections_and_named_sections_are_written() {
        let settings = json!({
            "main": {"no-auto-default": ["*"], "plugins": ["keyfile", "ifcfg-rh"]},
            "device": [{"config": {"managed": true}}, {"name": "eth", "config": {"managed": false}}],
        });
        let test = StageTest::new(
            &STAGE,
            json!({"path": "/etc/NetworkManager/conf.d/x.conf", "settings": settings}),
        );
        let ran = test.run().success();
        assert_eq!(
            ran.tree.lines().last(),
            Some(
                "etc/NetworkManager/conf.d/x.conf 0600 \"[main]\\nno-auto-default=*\\nplugins=keyfile,ifcfg-rh\\n\\n\
                 [device]\\nmanaged=true\\n\\n[device-eth]\\nmanaged=false\\n\\n\""
            )
        );
    }
}
