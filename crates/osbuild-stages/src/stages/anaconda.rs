//! Configures Anaconda, the installer.

use anyhow::{Context, Result};
use osbuild_stage_api::{StageContext, StageModule};
use serde_json::{Map, Value};

use crate::shared::ini::python_str;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.anaconda",
    include_str!("anaconda.meta.json"),
    run,
);

const DIRECTORY: &str = "/etc/anaconda/conf.d";
const FILE: &str = "/etc/anaconda/conf.d/90-osbuild.conf";
const HEAD: &str = "\n# osbuild customizations\n\n[Anaconda]\n";

/// The schema lets unknown keys pass here, and upstream writes them all.
type Options = Map<String, Value>;

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let mut text = HEAD.to_owned();
    for (name, modules) in &options {
        let modules = modules
            .as_array()
            .with_context(|| format!("`{name}` is no list"))?;
        text.push_str(&format!("{}=\n", name.replace('-', "_")));
        text.extend(
            modules
                .iter()
                .map(|module| format!("    {}\n", python_str(module))),
        );
    }
    let tree = context.tree_path()?;
    tree.create_dir_all(DIRECTORY)?;
    tree.write(FILE, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn modules_are_a_list() {
        let ran = StageTest::new(&STAGE, json!({"optional-modules": 1})).run();
        assert_eq!(ran.error(), "ValueError: `optional-modules` is no list");
        assert_eq!(ran.tree, "");
    }
}
