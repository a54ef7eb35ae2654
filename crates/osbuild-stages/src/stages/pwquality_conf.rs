//! Says what passwords must be like.

use anyhow::Result;
use indexmap::IndexMap;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::Number;

use crate::shared::setting_lines;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.pwquality.conf",
    include_str!("pwquality_conf.meta.json"),
    run,
);

const FILE: &str = "/etc/security/pwquality.conf";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Their names are up to the schema.
    config: IndexMap<String, Number>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { config } = context.options()?;
    let tree = context.tree_path()?;
    let changes = config
        .into_iter()
        .map(|(name, value)| (name, value.to_string()));
    setting_lines::change_file(&tree, FILE, " = ", changes.collect(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    fn run_on(options: serde_json::Value, before: &str) -> String {
        let test = StageTest::new(&STAGE, options).file(FILE, before);
        test.run().success();
        fs_err::read_to_string(test.path(FILE)).unwrap()
    }

    #[test]
    fn settings_are_changed_or_added() {
        let options = json!({"config": {"minlen": 9, "dcredit": -1}});
        assert_eq!(
            run_on(options, "# minlen = 8\nminlen = 8\nminclass = 0\n"),
            "# minlen = 8\nminlen = 9\nminclass = 0\ndcredit = -1\n"
        );
    }

    #[test]
    fn the_file_must_be_there() {
        let ran = StageTest::new(&STAGE, json!({"config": {}})).run();
        assert_eq!(ran.error().split(':').next(), Some("FileNotFoundError"));
    }
}
