//! Writes a partition table with sfdisk.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use osbuild_stage_api::{StageContext, StageError, StageModule};
use serde::Deserialize;
use serde_json::Value;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.sfdisk", include_str!("sfdisk.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    uuid: String,
    label: String,
    #[serde(default)]
    partitions: Vec<Partition>,
}

/// The schema allows other keys; they mean nothing.
#[derive(Debug, Default, Deserialize)]
struct Partition {
    #[serde(default)]
    bootable: bool,
    name: Option<String>,
    partnum: Option<u64>,
    size: Option<u64>,
    start: Option<u64>,
    r#type: Option<String>,
    uuid: Option<String>,
    attrs: Option<Vec<u8>>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let device = context.device("device")?.path();
    let script = script(&options, device);
    context.log(&script);
    context
        .command("sfdisk")
        .args(["-q", "--no-tell-kernel"])
        .arg(device)
        .input(script)
        .run()?;
    let written = context.command("sfdisk").arg("--json").arg(device).read()?;
    check(&written, options.partitions.len())?;
    // Into the log, for people.
    context
        .command("sfdisk")
        .arg("--json")
        .arg(device)
        .status()?;
    Ok(())
}

/// Spells the table in sfdisk's own language; a partition with a number is named as the kernel would name it.
fn script(options: &Options, device: &Path) -> String {
    let mut script = format!("label: {}\nlabel-id: {}", options.label, options.uuid);
    for partition in &options.partitions {
        script.push('\n');
        if let Some(number) = partition.partnum.filter(|number| *number != 0) {
            write!(script, "{}p{number}: ", device.display()).expect("a string takes everything");
        }
        script += &fields(partition).join(", ");
    }
    script
}

fn fields(partition: &Partition) -> Vec<String> {
    let number = |value: Option<u64>| {
        value
            .filter(|value| *value != 0)
            .map(|value| value.to_string())
    };
    let text = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let attributes = partition
        .attrs
        .as_deref()
        .filter(|bits| !bits.is_empty())
        .map(attributes);
    let fields = [
        ("start", number(partition.start)),
        ("size", number(partition.size)),
        ("type", text(&partition.r#type)),
        ("name", text(&partition.name)),
        ("uuid", text(&partition.uuid)),
        ("attrs", attributes),
    ];
    let mut fields: Vec<_> = fields
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}=\"{}\"", value?)))
        .collect();
    if partition.bootable {
        fields.push("bootable".to_owned());
    }
    fields
}

/// Bits 3 to 47 have no name and are undefined: sfdisk takes only those of the partition type.
fn attributes(bits: &[u8]) -> String {
    let name = |bit: &u8| match bit {
        0 => Some("RequiredPartition".to_owned()),
        1 => Some("NoBlockIOProtocol".to_owned()),
        2 => Some("LegacyBIOSBootable".to_owned()),
        48..=63 => Some(bit.to_string()),
        _ => None,
    };
    bits.iter().filter_map(name).collect::<Vec<_>>().join(",")
}

fn check(written: &[u8], expected: usize) -> Result<()> {
    let table: Value =
        serde_json::from_slice(written).context("reading the table that sfdisk wrote")?;
    let found = table["partitiontable"]["partitions"]
        .as_array()
        .map_or(0, Vec::len);
    if found != expected {
        let text = format!("the table has {found} partitions, not {expected}");
        return Err(StageError::new("AssertionError", text).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use osbuild_testing::needs;
    use serde_json::json;

    fn layout() -> Value {
        json!({
            "uuid": "D209C89E-EA5E-4FBD-B161-B461CCE297E0",
            "label": "gpt",
            "partitions": [
                {"bootable": true, "size": 2048, "start": 2048, "attrs": [2, 60],
                 "type": "21686148-6449-6E6F-744E-656564454649", "uuid": "FAC7F1FB-3E8D-4137-A512-961DE09A5549"},
                {"start": 4096, "partnum": 5, "name": "a name",
                 "type": "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "uuid": "6264D520-3FB9-423F-8AB8-7A0A8E3D3562"}
            ]
        })
    }

    #[test]
    fn the_script_spells_every_field() {
        let options: Options = serde_json::from_value(layout()).unwrap();
        assert_eq!(
            script(&options, Path::new("/dev/loop0")),
            "label: gpt\nlabel-id: D209C89E-EA5E-4FBD-B161-B461CCE297E0\n\
             start=\"2048\", size=\"2048\", type=\"21686148-6449-6E6F-744E-656564454649\", \
             uuid=\"FAC7F1FB-3E8D-4137-A512-961DE09A5549\", attrs=\"LegacyBIOSBootable,60\", bootable\n\
             /dev/loop0p5: start=\"4096\", type=\"0FC63DAF-8483-4772-8E79-3D69D8477DE4\", name=\"a name\", \
             uuid=\"6264D520-3FB9-423F-8AB8-7A0A8E3D3562\""
        );
    }

    #[test]
    fn a_real_table_is_written() {
        needs![tool("sfdisk")];
        let mut options = layout();
        // sfdisk takes the boot flag for MBR only.
        options["partitions"][0]["bootable"] = json!(false);
        let test = StageTest::new(&STAGE, options);
        let disk = test.workspace().join("disk.img");
        fs_err::File::create(&disk)
            .unwrap()
            .set_len(8 << 20)
            .unwrap();
        let test = test.device("device", &disk);
        let log = test.run().success().log;
        for part in [
            "\"id\": \"D209C89E-EA5E-4FBD-B161-B461CCE297E0\"",
            "disk.img5\"",
            "\"name\": \"a name\"",
        ] {
            let part = part.replace("\": ", "\":");
            assert!(
                log.replace("\": ", "\":").contains(&part),
                "{part} in {log}"
            );
        }
    }

    #[test]
    fn a_table_that_lacks_a_partition_is_not_taken_for_success() {
        let error = check(br#"{"partitiontable": {"partitions": [{}]}}"#, 2).unwrap_err();
        assert_eq!(error.to_string(), "the table has 1 partitions, not 2");
    }
}
