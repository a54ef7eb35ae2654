//! Configures the Insights client.

use anyhow::Result;
use indexmap::IndexMap;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::setting_lines;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.insights-client.config",
    include_str!("insights_client_config.meta.json"),
    run,
);

const FILE: &str = "/etc/insights-client/insights-client.conf";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    config: Config,
    path: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    proxy: Option<String>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { config, path } = context.options()?;
    let path = path.as_deref().unwrap_or(FILE);
    let tree = context.tree_path()?;
    if !tree.exists(path)? {
        tree.write(path, "")?;
    }
    let changes: IndexMap<_, _> = config
        .proxy
        .into_iter()
        .map(|proxy| ("proxy".to_owned(), proxy))
        .collect();
    setting_lines::change_file(&tree, path, "=", changes, str::to_owned)
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
    fn the_proxy_is_changed_or_added() {
        let options = json!({"config": {"proxy": "http://p"}});
        assert_eq!(
            run_on(
                options.clone(),
                "[insights-client]\n#proxy=\nproxy=a\nproxy=b\n"
            ),
            "[insights-client]\n#proxy=\nproxy=http://p\nproxy=b\n"
        );
        assert_eq!(run_on(options, ""), "proxy=http://p\n");
    }
}
