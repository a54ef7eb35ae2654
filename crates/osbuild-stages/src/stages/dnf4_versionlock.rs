//! Keeps packages at their version.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::build_time;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.dnf4.versionlock",
    include_str!("dnf4_versionlock.meta.json"),
    run,
);

const FILE: &str = "/etc/dnf/plugins/versionlock.list";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    add: Vec<String>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { add } = context.options()?;
    let time = build_time::ctime(build_time::now(context));
    // As the plugin itself writes it.
    let lines = add
        .iter()
        .map(|package| format!("\n# Added lock on {time}\n{package}\n"));
    context.tree_path()?.append(FILE, lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn locks_are_added_with_the_pipelines_time() {
        let test = StageTest::new(&STAGE, json!({"add": ["shim-*", "bash-0:5.1"]}))
            .file(FILE, "mine\n")
            .source_epoch(1_554_721_380);
        test.run().success();
        assert_eq!(
            fs_err::read_to_string(test.path(FILE)).unwrap(),
            "mine\n\n# Added lock on Mon Apr  8 11:03:00 2019\nshim-*\n\n\
             # Added lock on Mon Apr  8 11:03:00 2019\nbash-0:5.1\n"
        );
    }
}
