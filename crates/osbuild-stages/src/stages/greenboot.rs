//! Configures Greenboot.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.greenboot",
    include_str!("greenboot.meta.json"),
    run,
);

const FILE: &str = "/etc/greenboot/greenboot.conf";
const KEY: &str = "GREENBOOT_MONITOR_SERVICES";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    config: Config,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    monitor_services: Option<Vec<String>>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let tree = context.tree_path()?;
    let text = tree.read_to_string(FILE)?;
    tree.write(FILE, apply(&text, options.config.monitor_services))
}

/// Puts services before those of the first line that has any, or adds a line.
fn apply(text: &str, mut services: Option<Vec<String>>) -> String {
    let mut result = String::new();
    for line in text.split_inclusive('\n') {
        let current = line
            .strip_prefix(KEY)
            .and_then(|rest| rest.strip_prefix('='))
            .filter(|current| !current.contains('='));
        match (current, services.is_some()) {
            (Some(current), true) => {
                let current: Vec<_> = current.trim_matches(['"', '\n']).split(' ').collect();
                let mut words = services.take().unwrap_or_default();
                words.retain(|word| !current.contains(&word.as_str()));
                words.extend(current.into_iter().map(str::to_owned));
                result.push_str(&format!("{KEY}=\"{}\"\n", words.join(" ")));
            }
            _ => result.push_str(line),
        }
    }
    if let Some(services) = services {
        result.push_str(&format!("{KEY}=\"{}\"\n", services.join(" ")));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn services_are_watched_besides_others() {
        for (before, after) in [
            (
                "# GREENBOOT_MONITOR_SERVICES=\"no\"\nGREENBOOT_MONITOR_SERVICES=\"b c\"\nX=1\n",
                "# GREENBOOT_MONITOR_SERVICES=\"no\"\nGREENBOOT_MONITOR_SERVICES=\"a b c\"\nX=1\n",
            ),
            ("X=1\n", "X=1\nGREENBOOT_MONITOR_SERVICES=\"a b\"\n"),
        ] {
            let test = StageTest::new(&STAGE, json!({"config": {"monitor_services": ["a", "b"]}}))
                .file(FILE, before);
            test.run().success();
            assert_eq!(fs_err::read_to_string(test.path(FILE)).unwrap(), after);
        }
    }
}
