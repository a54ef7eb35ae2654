//! Writes a file to the start of a device.

use std::io::{Seek, SeekFrom};

use anyhow::{Result, bail};
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.write-device",
    include_str!("write_device.meta.json"),
    run,
);

const MEBIBYTE: f64 = 1024.0 * 1024.0;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    from: String,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let source = context.resolve_location(&options.from)?.host_path();
    let device = context.device("device")?.path();
    let source_size = fs_err::metadata(&source)?.len();
    context.log(format_args!(
        "src: '{}' src_size: {source_size}",
        source.display()
    ));
    // The end is the size, of block devices too.
    let device_size = fs_err::File::open(device)?.seek(SeekFrom::End(0))?;
    context.log(format_args!(
        "device: '{}' device_size: {device_size}",
        device.display()
    ));
    if source_size > device_size {
        let [source, device] = [source_size, device_size].map(|size| size as f64 / MEBIBYTE);
        bail!("File too large ({source:.1} mb) for device ({device:.1} mb)");
    }
    context
        .command("dd")
        .arg(format!("if={}", source.display()))
        .arg(format!("of={}", device.display()))
        .args(["status=progress", "conv=fsync"])
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::{Value, json};

    fn test_with(content: &[u8], program: &str) -> (StageTest, std::path::PathBuf) {
        let test = StageTest::new(&STAGE, json!({"from": "input://tree/a-file"}));
        let device = test.workspace().join("device");
        fs_err::write(&device, [7; 16]).unwrap();
        (
            test.input("tree", &[("a-file", content)], Value::Null)
                .device("device", &device)
                .program("dd", program),
            device,
        )
    }

    #[test]
    fn the_file_goes_to_the_start_of_the_device() {
        // A file stands in for a device: dd must not cut it off, as it can not cut off a device.
        let (test, device) = test_with(
            b"content",
            "exec /usr/bin/dd conv=notrunc \"$@\" conv=notrunc",
        );
        let log = test.run().success().log;
        assert_eq!(
            fs_err::read(&device).unwrap(),
            b"content\x07\x07\x07\x07\x07\x07\x07\x07\x07"
        );
        let expected = format!(
            "$ dd if=INPUTS/tree/a-file of={} status=progress conv=fsync\n",
            device.display()
        );
        assert!(log.contains(&expected), "{log}");
    }

    #[test]
    fn a_device_that_is_too_small_is_left_alone() {
        let (test, device) = test_with(&[1; 17], "exit 1");
        assert_eq!(
            test.run().error(),
            "ValueError: File too large (0.0 mb) for device (0.0 mb)"
        );
        assert_eq!(fs_err::read(device).unwrap(), [7; 16]);
    }
}
