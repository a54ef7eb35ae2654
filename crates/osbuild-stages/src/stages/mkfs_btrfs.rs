//! Makes a btrfs file system.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.mkfs.btrfs",
    include_str!("mkfs_btrfs.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    uuid: String,
    label: Option<String>,
    metadata: Option<String>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let device = context.device("device")?.path();
    context
        .command("mkfs.btrfs")
        .args(arguments(options))
        .arg(device)
        .run()
}

fn arguments(options: Options) -> Vec<String> {
    let mut arguments = vec!["-U".to_owned(), options.uuid];
    if let Some(label) = options.label.filter(|label| !label.is_empty()) {
        arguments.extend(["-L".to_owned(), label]);
    }
    if let Some(profile) = options.metadata {
        arguments.extend(["-m".to_owned(), profile]);
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
            .program("mkfs.btrfs", "");
        test.run().success().log
    }

    #[test]
    fn options_become_arguments() {
        assert_eq!(
            log_of(json!({"uuid": "dd"})),
            "$ mkfs.btrfs -U dd /dev/xxd1\n"
        );
        let options = json!({"uuid": "dd", "label": "root", "metadata": "dup"});
        assert_eq!(
            log_of(options),
            "$ mkfs.btrfs -U dd -L root -m dup /dev/xxd1\n"
        );
    }

    #[test]
    fn a_real_file_system_is_made() {
        needs![tool("mkfs.btrfs"), tool("btrfs")];
        let uuid = "a957573a-f432-4bed-a0bc-e541bddf8579";
        let test = StageTest::new(&STAGE, json!({"uuid": uuid, "label": "root"}));
        let disk = test.workspace().join("disk.img");
        fs_err::File::create(&disk)
            .unwrap()
            .set_len(128 << 20)
            .unwrap();
        let test = test.device("device", &disk);
        let _ = test.run().success();
        let shown = test
            .context()
            .command("btrfs")
            .args(["inspect-internal", "dump-super"])
            .arg(&disk)
            .read()
            .unwrap();
        let shown = String::from_utf8(shown).unwrap();
        assert!(
            shown.contains(uuid) && shown.contains("\nlabel\t\t\troot\n"),
            "{shown}"
        );
    }
}
