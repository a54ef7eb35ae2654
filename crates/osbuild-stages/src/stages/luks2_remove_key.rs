//! Removes a passphrase of a LUKS device.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.luks2.remove-key",
    include_str!("luks2_remove_key.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    passphrase: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { passphrase } = context.options()?;
    context
        .command("cryptsetup")
        .args(["-q", "luksRemoveKey"])
        .arg(
            context
                .devices_root()
                .join(context.device("device")?.path()),
        )
        .input(passphrase)
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_program_reads_the_passphrase() {
        let test = StageTest::new(&STAGE, json!({"passphrase": "secret"}))
            .device("device", "xxd1".as_ref())
            .program("cryptsetup", "cat");
        assert_eq!(
            test.run().success().log.trim_end(),
            "$ cryptsetup -q luksRemoveKey /dev/xxd1\nsecret"
        );
    }
}
