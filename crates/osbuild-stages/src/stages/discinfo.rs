//! Writes `/.discinfo`.

use std::time::UNIX_EPOCH;

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::build_time;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.discinfo",
    include_str!("discinfo.meta.json"),
    run,
);

const FILE: &str = "/.discinfo";

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Deserialize)]
struct Options {
    basearch: String,
    release: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { basearch, release } = context.options()?;
    // A clock before 1970 is not set.
    let time = build_time::now(context)
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let text = format!("{:?}\n{release}\n{basearch}\n", time.as_secs_f64());
    context.tree_path()?.write(FILE, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_time_is_the_pipelines() {
        let options = json!({"basearch": "x86_64", "release": "Example 9"});
        let test = StageTest::new(&STAGE, options).source_epoch(1_700_000_000);
        assert_eq!(
            test.run().success().tree,
            ".discinfo 0644 \"1700000000.0\\nExample 9\\nx86_64\\n\"\n"
        );
    }
}
