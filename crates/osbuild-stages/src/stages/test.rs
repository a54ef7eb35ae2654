//! Runs a script when the system boots, and powers it off.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.test", include_str!("test.meta.json"), run);

const UNIT: &str = "osbuild-test.service";
const DIRECTORY: &str = "/etc/systemd/system";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    script: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { script } = context.options()?;
    let unit = format!(
        "
[Unit]
Description=Boot Test
Wants=dev-vport0p1.device
After=dev-vport0p1.device

[Service]
StandardOutput=file:/dev/vport0p1
ExecStart={script}
ExecStopPost=/usr/bin/systemctl poweroff
"
    );
    let tree = context.tree_path()?;
    tree.write(format!("{DIRECTORY}/{UNIT}"), unit)?;
    tree.symlink(
        format!("../{UNIT}"),
        format!("{DIRECTORY}/multi-user.target.wants/{UNIT}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_unit_is_wanted() {
        let ran = StageTest::new(&STAGE, json!({"script": "/usr/bin/check"}))
            .directory("etc/systemd/system/multi-user.target.wants")
            .run()
            .success();
        let lines: Vec<_> = ran.tree.lines().skip(3).collect();
        assert_eq!(
            lines,
            [
                "etc/systemd/system/multi-user.target.wants/ 0755",
                "etc/systemd/system/multi-user.target.wants/osbuild-test.service -> ../osbuild-test.service",
                "etc/systemd/system/osbuild-test.service 0644 \"\\n[Unit]\\nDescription=Boot Test\\n\
                 Wants=dev-vport0p1.device\\nAfter=dev-vport0p1.device\\n\\n[Service]\\n\
                 StandardOutput=file:/dev/vport0p1\\nExecStart=/usr/bin/check\\n\
                 ExecStopPost=/usr/bin/systemctl poweroff\\n\"",
            ]
        );
    }

    #[test]
    fn systemd_must_be_there() {
        let ran = StageTest::new(&STAGE, json!({"script": "/x"})).run();
        assert_eq!(ran.error().split(':').next(), Some("FileNotFoundError"));
    }
}
