//! Makes a disk image with `systemd-repart`.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.systemd-repart.create",
    include_str!("systemd_repart_create.meta.json"),
    run,
);

/// Where loop devices appear; the stage's own has none.
const DEVICES: &str = "/dev/";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Options {
    path: String,
    size: String,
    #[serde(default = "random")]
    seed: String,
    #[serde(default)]
    sector_size: u64,
    #[serde(default)]
    defer_partitions_factory_reset: bool,
    #[serde(default)]
    split: bool,
}

fn random() -> String {
    "random".to_owned()
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let command = context
        .command("systemd-repart")
        .args(["--empty", "create", "--size", &options.size, "--root"])
        .arg(context.input("root-tree")?.path())
        .args(["--seed", &options.seed])
        .arg(context.tree_path()?.target_path(&options.path)?)
        .args(switches(&options));
    context
        .command("mount")
        .args(["-t", "devtmpfs", "devtmpfs", DEVICES])
        .run()?;
    let made = command.run();
    let unmounted = context.command("umount").arg(DEVICES).run();
    made.and(unmounted)
}

fn switches(options: &Options) -> Vec<String> {
    let mut switches = Vec::new();
    if options.sector_size != 0 {
        switches.extend(["--sector-size".to_owned(), options.sector_size.to_string()]);
    }
    for (name, is_on) in [
        (
            "--defer-partitions-factory-reset",
            options.defer_partitions_factory_reset,
        ),
        ("--split", options.split),
    ] {
        if is_on {
            switches.extend([name.to_owned(), "yes".to_owned()]);
        }
    }
    switches
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::{Value, json};

    fn test_with(options: Value) -> StageTest {
        StageTest::new(&STAGE, options)
            .input("root-tree", &[], Value::Null)
            .program("mount", "true")
            .program("umount", "true")
    }

    #[test]
    fn options_become_arguments() {
        let options = json!({
            "path": "a.raw", "size": "auto", "seed": "x", "sector-size": 4096, "split": true,
            "defer-partitions-factory-reset": true
        });
        let test = test_with(options).program("systemd-repart", "true");
        assert_eq!(
            test.run().success().log,
            "$ mount -t devtmpfs devtmpfs /dev/\n\
             $ systemd-repart --empty create --size auto --root INPUTS/root-tree --seed x TREE/a.raw \
             --sector-size 4096 --defer-partitions-factory-reset yes --split yes\n$ umount /dev/\n"
        );
    }

    #[test]
    fn devices_are_unmounted_after_a_failure() {
        let test =
            test_with(json!({"path": "a", "size": "2G"})).program("systemd-repart", "exit 1");
        let ran = test.run();
        assert_eq!(ran.error().split(':').next(), Some("CalledProcessError"));
        assert_eq!(ran.log.lines().last(), Some("$ umount /dev/"));
    }
}
