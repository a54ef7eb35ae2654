//! Makes an ext4 file system.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.mkfs.ext4",
    include_str!("mkfs_ext4.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    uuid: String,
    label: Option<String>,
    lazy_init: Option<bool>,
    verity: Option<bool>,
    orphan_file: Option<bool>,
    metadata_csum_seed: Option<bool>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let device = context.device("device")?.path();
    context
        .command("mkfs.ext4")
        .args(arguments(options))
        .arg(device)
        .run()
}

fn arguments(options: Options) -> Vec<String> {
    let mut arguments = vec!["-U".to_owned(), options.uuid];
    if let Some(label) = options.label.filter(|label| !label.is_empty()) {
        arguments.extend(["-L".to_owned(), label]);
    }
    if let Some(lazy) = options.lazy_init.map(u8::from) {
        arguments.extend(["-E".to_owned(), format!("lazy_itable_init={lazy}")]);
        arguments.extend(["-E".to_owned(), format!("lazy_journal_init={lazy}")]);
    }
    let features = [
        ("verity", options.verity),
        ("orphan_file", options.orphan_file),
        ("metadata_csum_seed", options.metadata_csum_seed),
    ];
    for (feature, wanted) in features {
        if let Some(wanted) = wanted {
            let not = if wanted { "" } else { "^" };
            arguments.extend(["-O".to_owned(), format!("{not}{feature}")]);
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

    fn log_of(options: Value) -> String {
        let test = StageTest::new(&STAGE, options)
            .device("device", "/dev/xxd1".as_ref())
            .program("mkfs.ext4", "");
        test.run().success().log
    }

    #[test]
    fn options_become_arguments() {
        for (options, expected) in [
            (json!({}), ""),
            (json!({"label": "root"}), "-L root "),
            (
                json!({"verity": true, "orphan_file": false}),
                "-O verity -O '^orphan_file' ",
            ),
            (
                json!({"metadata_csum_seed": true}),
                "-O metadata_csum_seed ",
            ),
            (
                json!({"lazy_init": false}),
                "-E lazy_itable_init=0 -E lazy_journal_init=0 ",
            ),
        ] {
            let mut options = options;
            options["uuid"] = json!("a957573a");
            let log = log_of(options).replace("'^orphan_file'", "^orphan_file");
            let expected = expected.replace("'^orphan_file'", "^orphan_file");
            assert_eq!(
                log,
                format!("$ mkfs.ext4 -U a957573a {expected}/dev/xxd1\n")
            );
        }
    }

    #[test]
    fn a_real_file_system_is_made() {
        needs![tool("mkfs.ext4"), tool("dumpe2fs")];
        let uuid = "a957573a-f432-4bed-a0bc-e541bddf8579";
        let test = StageTest::new(&STAGE, json!({"uuid": uuid, "label": "root"}));
        let disk = test.workspace().join("disk.img");
        fs_err::File::create(&disk)
            .unwrap()
            .set_len(10 << 20)
            .unwrap();
        let test = test.device("device", &disk);
        let _ = test.run().success();
        let shown = test
            .context()
            .command("dumpe2fs")
            .arg("-h")
            .arg(&disk)
            .read()
            .unwrap();
        let shown = String::from_utf8(shown).unwrap();
        assert!(
            shown.contains(uuid) && shown.contains("Filesystem volume name:   root"),
            "{shown}"
        );
    }
}
