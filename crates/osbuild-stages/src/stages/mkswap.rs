//! Makes a swap area.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.mkswap", include_str!("mkswap.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    uuid: String,
    label: Option<String>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let device = context.device("device")?.path();
    let mut arguments = vec!["--uuid".to_owned(), options.uuid];
    if let Some(label) = options.label.filter(|label| !label.is_empty()) {
        arguments.extend(["--label".to_owned(), label]);
    }
    context.command("mkswap").args(arguments).arg(device).run()
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
            .program("mkswap", "");
        test.run().success().log
    }

    #[test]
    fn options_become_arguments() {
        assert_eq!(
            log_of(json!({"uuid": "dd"})),
            "$ mkswap --uuid dd /dev/xxd1\n"
        );
        let options = json!({"uuid": "dd", "label": "swap"});
        assert_eq!(
            log_of(options),
            "$ mkswap --uuid dd --label swap /dev/xxd1\n"
        );
    }

    #[test]
    fn a_real_swap_area_is_made() {
        needs![tool("mkswap")];
        let uuid = "a957573a-f432-4bed-a0bc-e541bddf8579";
        let test = StageTest::new(&STAGE, json!({"uuid": uuid, "label": "swap"}));
        let disk = test.workspace().join("disk.img");
        fs_err::File::create(&disk)
            .unwrap()
            .set_len(1 << 20)
            .unwrap();
        let test = test.device("device", &disk);
        let _ = test.run().success();
        let bytes = fs_err::read(&disk).unwrap();
        assert_eq!(&bytes[4086..4096], b"SWAPSPACE2");
        assert_eq!(
            &bytes[0x40c..0x414],
            [0xa9, 0x57, 0x57, 0x3a, 0xf4, 0x32, 0x4b, 0xed]
        );
    }
}
