//! Configures what is experimental in an `OSTree` repository.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::ostree_settings;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.experimental.ostree.config",
    include_str!("experimental_ostree_config.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    repo: String,
    #[serde(default)]
    config: Config,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    integrity: Integrity,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Integrity {
    composefs: Option<String>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { repo, config } = context.options()?;
    let settings = [("ex-integrity.composefs", config.integrity.composefs)];
    ostree_settings::apply(context, &repo, settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn what_is_given_is_set() {
        for (config, log) in [
            (
                json!({"integrity": {"composefs": "maybe"}}),
                "$ ostree config set ex-integrity.composefs maybe --repo=TREE/r\n",
            ),
            (json!({"integrity": {}}), ""),
            (json!({}), ""),
        ] {
            let test = StageTest::new(&STAGE, json!({"repo": "/r", "config": config}))
                .directory("r")
                .program("ostree", "true");
            assert_eq!(test.run().success().log, log);
        }
    }
}
