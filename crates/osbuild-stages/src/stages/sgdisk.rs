//! Writes a GPT partition table with sgdisk.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.sgdisk", include_str!("sgdisk.meta.json"), run);

/// The attribute that `bootable` stands for.
const LEGACY_BIOS_BOOTABLE: u8 = 2;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    uuid: String,
    #[expect(dead_code, reason = "the schema allows `gpt` alone")]
    label: Option<String>,
    #[serde(default = "yes")]
    quote_partition_name: bool,
    #[serde(default)]
    partitions: Vec<Partition>,
}

/// The schema allows other keys; they mean nothing.
#[derive(Debug, Deserialize)]
struct Partition {
    #[serde(default)]
    bootable: bool,
    name: Option<String>,
    partnum: Option<u64>,
    size: Option<u64>,
    start: Option<u64>,
    r#type: Option<String>,
    uuid: Option<String>,
    #[serde(default)]
    attrs: Vec<u8>,
}

fn yes() -> bool {
    true
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let device = context.device("device")?.path();
    // `-g` after the device: old versions convert whatever they found to GPT only when told.
    let command = context.command("sgdisk").arg("-Z").arg(device).arg("-g");
    command.args(arguments(&options)).run()?;
    // Into the log, for people.
    context.command("sgdisk").arg("-p").arg(device).status()?;
    Ok(())
}

fn arguments(options: &Options) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
    if !options.uuid.is_empty() {
        add("-U", options.uuid.clone());
    }
    for (index, partition) in options.partitions.iter().enumerate() {
        let number = partition
            .partnum
            .filter(|number| *number != 0)
            .unwrap_or(index as u64 + 1);
        let start = partition.start.unwrap_or(0);
        let size = partition
            .size
            .filter(|size| *size != 0)
            .map_or("0".to_owned(), |size| format!("+{size}"));
        add("-n", format!("{number}:{start}:{size}"));
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(name) = given(&partition.name) {
            let quote = if options.quote_partition_name {
                "\""
            } else {
                ""
            };
            add("-c", format!("{number}:{quote}{name}{quote}"));
        }
        if let Some(uuid) = given(&partition.uuid) {
            add("-u", format!("{number}:{uuid}"));
        }
        if let Some(kind) = given(&partition.r#type) {
            add("-t", format!("{number}:{kind}"));
        }
        let mut attributes = partition.attrs.clone();
        attributes.extend(partition.bootable.then_some(LEGACY_BIOS_BOOTABLE));
        attributes.sort_unstable();
        attributes.dedup();
        for attribute in attributes {
            add("-A", format!("{number}:set:{attribute}"));
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use osbuild_testing::needs;
    use serde_json::{Value, json};

    fn layout() -> Value {
        json!({
            "uuid": "D209C89E-EA5E-4FBD-B161-B461CCE297E0",
            "label": "gpt",
            "quote_partition_name": false,
            "partitions": [
                {"bootable": true, "size": 2048, "start": 2048, "attrs": [60, 2],
                 "type": "21686148-6449-6E6F-744E-656564454649", "uuid": "FAC7F1FB-3E8D-4137-A512-961DE09A5549"},
                {"start": 4096, "name": "data", "partnum": 7}
            ]
        })
    }

    #[test]
    fn the_arguments_spell_every_field() {
        let options: Options = serde_json::from_value(layout()).unwrap();
        assert_eq!(
            arguments(&options).join(" "),
            "-U D209C89E-EA5E-4FBD-B161-B461CCE297E0 -n 1:2048:+2048 -u 1:FAC7F1FB-3E8D-4137-A512-961DE09A5549 \
             -t 1:21686148-6449-6E6F-744E-656564454649 -A 1:set:2 -A 1:set:60 -n 7:4096:0 -c 7:data"
        );
    }

    #[test]
    fn names_are_quoted_as_they_always_were_unless_told_otherwise() {
        let options = json!({"uuid": "", "partitions": [{"start": 1, "name": "data"}]});
        let options: Options = serde_json::from_value(options).unwrap();
        assert_eq!(arguments(&options), ["-n", "1:1:0", "-c", "1:\"data\""]);
    }

    #[test]
    fn a_real_table_is_written() {
        needs![tool("sgdisk")];
        let test = StageTest::new(&STAGE, layout());
        let disk = test.workspace().join("disk.img");
        fs_err::File::create(&disk)
            .unwrap()
            .set_len(8 << 20)
            .unwrap();
        let test = test.device("device", &disk);
        let log = test.run().success().log;
        assert!(
            log.contains("Disk identifier (GUID): D209C89E-EA5E-4FBD-B161-B461CCE297E0"),
            "{log}"
        );
        assert!(log.contains("\n   7 "), "{log}");
    }
}
