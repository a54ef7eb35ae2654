//! Opens a root shell on a terminal early in the boot.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.debug-shell",
    include_str!("debug_shell.meta.json"),
    run,
);

const UNIT: &str = "osbuild-debug-shell.service";
const DIRECTORY: &str = "/etc/systemd/system";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    tty: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { tty } = context.options()?;
    let tree = context.tree_path()?;
    tree.write(format!("{DIRECTORY}/{UNIT}"), unit(&tty))?;
    tree.symlink(
        format!("../{UNIT}"),
        format!("{DIRECTORY}/sysinit.target.wants/{UNIT}"),
    )
}

fn unit(tty: &str) -> String {
    format!(
        "
[Unit]
Description=Early root shell on {tty} FOR DEBUGGING ONLY
DefaultDependencies=no
IgnoreOnIsolate=yes
ConditionPathExists={tty}

[Service]
Environment=TERM=linux
ExecStart=/bin/sh
Restart=always
RestartSec=0
StandardInput=tty
TTYPath={tty}
TTYReset=yes
TTYVHangup=yes
KillMode=process
IgnoreSIGPIPE=no
# bash ignores SIGTERM
KillSignal=SIGHUP

# Unset locale for the console getty since the console has problems
# displaying some internationalized messages.
UnsetEnvironment=LANG LANGUAGE LC_CTYPE LC_NUMERIC LC_TIME LC_COLLATE LC_MONETARY LC_MESSAGES LC_PAPER LC_NAME \
         LC_ADDRESS LC_TELEPHONE LC_MEASUREMENT LC_IDENTIFICATION
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_unit_is_wanted_early() {
        let test = StageTest::new(&STAGE, json!({"tty": "/dev/ttyS0"}))
            .directory("etc/systemd/system/sysinit.target.wants");
        let ran = test.run().success();
        assert_eq!(
            ran.tree.lines().last(),
            Some(
                "etc/systemd/system/sysinit.target.wants/osbuild-debug-shell.service -> ../osbuild-debug-shell.service"
            )
        );
        let unit =
            fs_err::read_to_string(test.path("etc/systemd/system/osbuild-debug-shell.service"));
        let unit = unit.unwrap();
        assert!(unit.contains("\nTTYPath=/dev/ttyS0\n"), "{unit}");
        assert!(
            unit.ends_with(" LC_NAME LC_ADDRESS LC_TELEPHONE LC_MEASUREMENT LC_IDENTIFICATION\n")
        );
        assert_eq!(
            test.run().error().split(':').next(),
            Some("FileExistsError")
        );
    }

    #[test]
    fn systemd_must_be_there() {
        let ran = StageTest::new(&STAGE, json!({"tty": "/dev/ttyS0"})).run();
        assert_eq!(ran.error().split(':').next(), Some("FileNotFoundError"));
    }
}
