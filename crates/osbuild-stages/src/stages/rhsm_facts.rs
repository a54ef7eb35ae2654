//! Tells subscription-manager about the system.

use std::io::Write;

use anyhow::{Context as _, Result};
use osbuild_stage_api::tree_root::FILE_MODE;
use osbuild_stage_api::{StageContext, StageModule};
use rustix::fs::OFlags;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::python_json;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.rhsm.facts",
    include_str!("rhsm_facts.meta.json"),
    run,
);

const DIRECTORY: &str = "/etc/rhsm/facts";

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Deserialize)]
struct Options {
    facts: Map<String, Value>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { facts } = context.options()?;
    let tree = context.tree_path()?;
    tree.create_dir_all(DIRECTORY)?;
    let file = format!("{DIRECTORY}/osbuild.facts");
    // Two stages that both have facts would lose those of one.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    tree.open_file(&file, flags, FILE_MODE)?
        .write_all(python_json::text(&Value::Object(facts)).as_bytes())
        .with_context(|| format!("writing {file}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn facts_are_written_once() {
        let test = StageTest::new(
            &STAGE,
            json!({"facts": {"image-builder.osbuild-composer.api-type": "x", "n": [1, "é"]}}),
        );
        let ran = test.run().success();
        assert_eq!(
            ran.tree.lines().last(),
            Some(
                "etc/rhsm/facts/osbuild.facts 0644 \"{\\\"image-builder.osbuild-composer.api-type\\\": \\\"x\\\", \
                 \\\"n\\\": [1, \\\"\\\\u00e9\\\"]}\""
            )
        );
        assert_eq!(
            test.run().error().split(':').next(),
            Some("FileExistsError")
        );
    }
}
