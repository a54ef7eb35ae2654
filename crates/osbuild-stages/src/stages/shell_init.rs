//! Sets variables for login shells.

use anyhow::Result;
use indexmap::IndexMap;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.shell.init",
    include_str!("shell_init.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    files: IndexMap<String, File>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    env: Vec<Variable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    key: String,
    value: String,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let tree = context.tree_path()?;
    for (name, file) in &options.files {
        let lines = file
            .env
            .iter()
            .map(|Variable { key, value }| format!("export {key}=\"{value}\"\n"));
        tree.write(format!("/etc/profile.d/{name}"), lines.collect::<String>())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn variables_are_exported() {
        let env = json!([{"key": "EDITOR", "value": "vi"}, {"key": "PAGER", "value": "less -R"}]);
        let test = StageTest::new(&STAGE, json!({"files": {"x.sh": {"env": env}}}))
            .directory("etc/profile.d");
        test.run().success();
        assert_eq!(
            fs_err::read_to_string(test.path("etc/profile.d/x.sh")).unwrap(),
            "export EDITOR=\"vi\"\nexport PAGER=\"less -R\"\n"
        );
    }
}
