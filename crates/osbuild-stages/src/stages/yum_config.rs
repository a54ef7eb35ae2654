//! Configures YUM.

use anyhow::Result;
use indexmap::IndexMap;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::ini_file;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.yum.config",
    include_str!("yum_config.meta.json"),
    run,
);

const FILE: &str = "/etc/yum.conf";
const PLUGINS: &str = "/etc/yum/pluginconf.d";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Their names are up to the schema.
    #[serde(default)]
    config: IndexMap<String, String>,
    #[serde(default)]
    plugins: Plugins,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plugins {
    langpacks: Option<Langpacks>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Langpacks {
    locales: Option<Vec<String>>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { config, plugins } = context.options()?;
    if !config.is_empty() {
        let mut document = ini_file::read_or_new(context, FILE)?;
        for (name, value) in &config {
            document.set("main", name, value);
        }
        context.tree_path()?.write(FILE, document.text())?;
    }
    match plugins.langpacks {
        Some(langpacks) => configure_langpacks(context, &langpacks),
        None => Ok(()),
    }
}

fn configure_langpacks(context: &StageContext, langpacks: &Langpacks) -> Result<()> {
    let file = format!("{PLUGINS}/langpacks.conf");
    let mut document = ini_file::read_or_new(context, &file)?;
    if let Some(locales) = &langpacks.locales {
        document.set("main", "langpack_locales", &locales.join(", "));
    }
    let tree = context.tree_path()?;
    tree.create_dir_all(PLUGINS)?;
    tree.write(&file, document.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn without_settings_nothing_is_written() {
        let test = StageTest::new(&STAGE, json!({"config": {}, "plugins": {}}));
        assert_eq!(test.run().success().tree, "");
    }
}
