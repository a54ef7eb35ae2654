//! Partitions a device with `parted`.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageError, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.parted", include_str!("parted.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    label: String,
    partitions: Option<Vec<Partition>>,
}

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Deserialize)]
struct Partition {
    name: Option<String>,
    start: u64,
    size: u64,
    #[serde(default)]
    bootable: bool,
    #[serde(default, rename = "type")]
    flag: String,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let missing = || StageError::new("TypeError", "there are no `partitions`");
    let partitions = options.partitions.ok_or_else(missing)?;
    let device = context
        .devices_root()
        .join(context.device("device")?.path());
    let parted = || {
        context
            .command("parted")
            .args(["-a", "none", "-s"])
            .arg(&device)
            .arg("--")
    };
    parted()
        .args(["unit", "s", "mklabel", &options.label])
        .args(
            (1..)
                .zip(&partitions)
                .flat_map(|(number, partition)| commands(number, partition)),
        )
        .run()?;
    parted().arg("print").run()
}

fn commands(number: usize, partition: &Partition) -> Vec<String> {
    let Partition {
        name, start, size, ..
    } = partition;
    // parted takes the quotes away; what upstream says of a partition without a name is kept.
    let name = name.as_deref().unwrap_or("None");
    let end = (start + size).saturating_sub(1);
    let mut commands = vec![
        "mkpart".to_owned(),
        format!("\"{name}\""),
        start.to_string(),
        end.to_string(),
    ];
    let mut set = |flag: &str| {
        commands.extend(["set", &number.to_string(), flag, "on"].map(str::to_owned));
    };
    if partition.bootable {
        set("boot");
    }
    if !partition.flag.is_empty() {
        set(&partition.flag);
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn partitions_become_commands() {
        let partitions = json!([
            {"name": "boot", "start": 2048, "size": 1024, "bootable": true, "type": "esp"},
            {"name": "root", "start": 3072, "size": 4096}
        ]);
        let test = StageTest::new(&STAGE, json!({"label": "gpt", "partitions": partitions}))
            .device("device", "/dev/xxd1".as_ref())
            .program("parted", "true");
        assert_eq!(
            test.run().success().log,
            "$ parted -a none -s /dev/xxd1 -- unit s mklabel gpt mkpart '\"boot\"' 2048 3071 set 1 boot on \
             set 1 esp on mkpart '\"root\"' 3072 7167\n$ parted -a none -s /dev/xxd1 -- print\n"
        );
    }
}
