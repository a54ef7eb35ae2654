//! Makes a FAT file system.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.mkfs.fat",
    include_str!("mkfs_fat.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    volid: String,
    label: Option<String>,
    #[serde(rename = "fat-size")]
    fat_size: Option<u8>,
    geometry: Option<Geometry>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let device = context.device("device")?.path();
    context
        .command("mkfs.fat")
        .args(arguments(options))
        .arg(device)
        .run()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Geometry {
    heads: u64,
    #[serde(rename = "sectors-per-track")]
    sectors_per_track: u64,
}

fn arguments(options: Options) -> Vec<String> {
    // `-I`: a loop device looks like a whole disk, which mkfs.fat refuses otherwise.
    let mut arguments = vec!["-I".to_owned(), "-i".to_owned(), options.volid];
    if let Some(label) = options.label.filter(|label| !label.is_empty()) {
        arguments.extend(["-n".to_owned(), label]);
    }
    if let Some(bits) = options.fat_size {
        arguments.extend(["-F".to_owned(), bits.to_string()]);
    }
    if let Some(Geometry {
        heads,
        sectors_per_track,
    }) = options.geometry
    {
        arguments.extend(["-g".to_owned(), format!("{heads}/{sectors_per_track}")]);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use osbuild_testing::needs;
    use serde_json::{Value, json};

    fn log_of(options: Value) -> String {
        let test = StageTest::new(&STAGE, options)
            .device("device", "/dev/xxd1".as_ref())
            .program("mkfs.fat", "");
        test.run().success().log
    }

    #[test]
    fn options_become_arguments() {
        assert_eq!(
            log_of(json!({"volid": "2e24ec82"})),
            "$ mkfs.fat -I -i 2e24ec82 /dev/xxd1\n"
        );
        let geometry = json!({"heads": 12, "sectors-per-track": 42});
        let options =
            json!({"volid": "2e24ec82", "label": "EFI", "fat-size": 32, "geometry": geometry});
        assert_eq!(
            log_of(options),
            "$ mkfs.fat -I -i 2e24ec82 -n EFI -F 32 -g 12/42 /dev/xxd1\n"
        );
    }

    #[test]
    fn a_real_file_system_is_made() {
        needs![tool("mkfs.fat"), tool("fsck.fat")];
        let test = StageTest::new(
            &STAGE,
            json!({"volid": "2e24ec82", "label": "EFI", "fat-size": 16}),
        );
        let disk = test.workspace().join("disk.img");
        fs_err::File::create(&disk)
            .unwrap()
            .set_len(10 << 20)
            .unwrap();
        let test = test.device("device", &disk);
        let _ = test.run().success();
        test.context()
            .command("fsck.fat")
            .arg("-n")
            .arg(&disk)
            .run()
            .unwrap();
        let bytes = fs_err::read(&disk).unwrap();
        assert_eq!(
            (&bytes[39..43], &bytes[43..54]),
            (&[0x82, 0xec, 0x24, 0x2e][..], &b"EFI        "[..])
        );
    }
}
