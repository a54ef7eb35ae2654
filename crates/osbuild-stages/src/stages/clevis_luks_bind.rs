//! Has a policy open a LUKS device.

use std::path::Path;

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.clevis.luks-bind",
    include_str!("clevis_luks_bind.meta.json"),
    run,
);

/// The shell script that `clevis` is wants it; a stage's `/dev` has none.
const DESCRIPTORS: &str = "/dev/fd";
const DESCRIPTORS_TARGET: &str = "/proc/self/fd";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    passphrase: String,
    pin: String,
    policy: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options {
        passphrase,
        pin,
        policy,
    } = context.options()?;
    let command = context
        .command("clevis")
        .args(["luks", "bind", "-k-", "-y", "-f", "-d"])
        .arg(
            context
                .devices_root()
                .join(context.device("device")?.path()),
        )
        .args([pin, policy]);
    if !Path::new(DESCRIPTORS).exists() {
        fs_err::os::unix::fs::symlink(DESCRIPTORS_TARGET, DESCRIPTORS)?;
    }
    command.input(passphrase).run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_program_reads_the_passphrase() {
        let options = json!({"passphrase": "secret", "pin": "null", "policy": "{}"});
        let test = StageTest::new(&STAGE, options)
            .device("device", "xxd1".as_ref())
            .program("clevis", "cat");
        assert_eq!(
            test.run().success().log.trim_end(),
            "$ clevis luks bind -k- -y -f -d /dev/xxd1 null '{}'\nsecret"
        );
    }
}
