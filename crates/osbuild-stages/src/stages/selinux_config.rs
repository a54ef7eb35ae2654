//! Says how `SELinux` starts.

use anyhow::{Context as _, Result};
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.selinux.config",
    include_str!("selinux_config.meta.json"),
    run,
);

const FILE: &str = "/etc/selinux/config";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    state: Option<String>,
    r#type: Option<String>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let tree = context.tree_path()?;
    let before = tree.read_to_string(FILE)?;
    let mut after = String::new();
    for line in before.split_inclusive('\n') {
        if line.starts_with('#') || line.trim().is_empty() {
            after.push_str(line);
            continue;
        }
        let (key, _) = line
            .trim()
            .split_once('=')
            .with_context(|| format!("{FILE} has a line without a value: {line}"))?;
        match (key, &options.state, &options.r#type) {
            ("SELINUX", Some(value), _) | ("SELINUXTYPE", _, Some(value)) => {
                after.push_str(&format!("{key}={value}\n"));
            }
            _ => after.push_str(line),
        }
    }
    tree.write(FILE, after)
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
    fn only_what_is_named_changes() {
        let before = "# SELINUX=x\n\nSELINUX=enforcing\nSELINUXTYPE=targeted\nOTHER=1";
        assert_eq!(
            run_on(json!({"state": "permissive", "type": "mls"}), before),
            "# SELINUX=x\n\nSELINUX=permissive\nSELINUXTYPE=mls\nOTHER=1"
        );
        assert_eq!(run_on(json!({}), before), before);
    }
}
