//! Has cron run a command.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context as _, Result};
use osbuild_stage_api::tree_root::FILE_MODE;
use osbuild_stage_api::{StageContext, StageModule};
use rustix::fs::OFlags;
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.cron.script",
    include_str!("cron_script.meta.json"),
    run,
);

const MODE: u32 = 0o755;
/// Quirk of upstream: the `#` is missing, but cron runs it by a shell all the same.
const FIRST_LINE: &str = "!/bin/bash";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    interval: String,
    filename: String,
    simple: Simple,
}

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Deserialize)]
struct Simple {
    #[serde(default)]
    comment: Vec<String>,
    command: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options {
        interval,
        filename,
        simple,
    } = context.options()?;
    let mut lines = vec![FIRST_LINE.to_owned()];
    lines.extend(simple.comment.iter().map(|line| format!("# {line}")));
    lines.push(simple.command);
    let path = format!("/etc/cron.{interval}/{filename}");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let mut file = context.tree_path()?.open_file(&path, flags, FILE_MODE)?;
    file.write_all(format!("{}\n", lines.join("\n")).as_bytes())
        .and_then(|()| file.set_permissions(PermissionsExt::from_mode(MODE)))
        .with_context(|| format!("writing {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_script_is_executable() {
        let simple = json!({"command": "true", "comment": ["one", "two"]});
        let options = json!({"interval": "daily", "filename": "x", "simple": simple});
        let ran = StageTest::new(&STAGE, options)
            .directory("etc/cron.daily")
            .run()
            .success();
        assert_eq!(
            ran.tree.lines().last(),
            Some("etc/cron.daily/x 0755 \"!/bin/bash\\n# one\\n# two\\ntrue\\n\"")
        );
    }
}
