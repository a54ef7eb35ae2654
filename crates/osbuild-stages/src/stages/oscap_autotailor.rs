//! Tailors a security profile.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use osbuild_stage_api::{StageContext, StageModule, TreeRoot};
use serde::Deserialize;
use serde_json::Value;

use crate::shared::ini::python_str;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.oscap.autotailor",
    include_str!("oscap_autotailor.meta.json"),
    run,
);

const PROGRAM: &str = "autotailor";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filepath: String,
    config: Config,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    datastream: String,
    tailored_profile_id: Option<String>,
    new_profile: Option<String>,
    tailoring_file: Option<String>,
    profile_id: Option<String>,
    #[serde(default)]
    selected: Vec<String>,
    #[serde(default)]
    unselected: Vec<String>,
    #[serde(default)]
    overrides: Vec<Override>,
}

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Deserialize)]
struct Override {
    var: String,
    value: Value,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { filepath, config } = context.options()?;
    if config.new_profile.is_some() {
        context.log("`new_profile` is the older name of `tailored_profile_id`");
    }
    let profile = config
        .tailored_profile_id
        .as_ref()
        .or(config.new_profile.as_ref());
    let profile = profile
        .filter(|profile| !profile.is_empty())
        .context("The tailoring profile id option is a required field")?;
    let command = context
        .command(PROGRAM)
        .arg("--output")
        .arg(path_in_tree(context, &filepath, TreeRoot::target_path)?)
        .args(["--new-profile-id", profile]);
    if let Some(file) = &config.tailoring_file {
        let file = path_in_tree(context, file, TreeRoot::real_path)?;
        let command = command.arg("--json-tailoring").arg(file);
        return command.arg(config.datastream).run();
    }
    let base = config.profile_id.filter(|profile| !profile.is_empty());
    let base = base.context("either `profile_id` or `tailoring_file` must be set")?;
    let lists = [
        ("--select", config.selected),
        ("--unselect", config.unselected),
    ];
    let rules = lists.into_iter().flat_map(|(option, rules)| {
        rules
            .into_iter()
            .flat_map(move |rule| [option.to_owned(), rule])
    });
    let values = config.overrides.iter().flat_map(|change| {
        let value = python_str(&change.value);
        ["--var-value".to_owned(), format!("{}={value}", change.var)]
    });
    command
        .args(rules)
        .args(values)
        .arg(config.datastream)
        .arg(base)
        .run()
}

/// Where there is no tree there are no links in it either, and the program says best what is missing.
fn path_in_tree(
    context: &StageContext,
    path: &str,
    find: fn(&TreeRoot, String) -> Result<PathBuf>,
) -> Result<PathBuf> {
    if context.tree().exists() {
        return find(&context.tree_path()?, path.to_owned());
    }
    Ok(context.tree().join(Path::new(path.trim_start_matches('/'))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    fn log(config: &serde_json::Value) -> String {
        StageTest::new(&STAGE, json!({"filepath": "/out.xml", "config": config}))
            .file("in.json", "")
            .program("autotailor", "true")
            .run()
            .success()
            .log
    }

    #[test]
    fn rules_and_values_become_arguments() {
        let config = json!({"datastream": "ds.xml", "profile_id": "base", "tailored_profile_id": "new",
                            "selected": ["a", "b"], "unselected": ["c"], "overrides": [{"var": "v", "value": 5}]});
        assert_eq!(
            log(&config),
            "$ autotailor --output TREE/out.xml --new-profile-id new --select a --select b --unselect c \
             --var-value v=5 ds.xml base\n"
        );
    }

    #[test]
    fn a_description_is_read_from_the_tree() {
        let config = json!({"datastream": "ds.xml", "tailored_profile_id": "new", "tailoring_file": "/in.json"});
        assert_eq!(
            log(&config),
            "$ autotailor --output TREE/out.xml --new-profile-id new --json-tailoring TREE/in.json ds.xml\n"
        );
    }
}
