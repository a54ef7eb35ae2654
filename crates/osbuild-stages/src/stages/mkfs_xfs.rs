//! Makes an XFS file system.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.mkfs.xfs",
    include_str!("mkfs_xfs.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    uuid: String,
    label: Option<String>,
    agcount: Option<u64>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let device = context.device("device")?.path();
    context
        .command("mkfs.xfs")
        .args(arguments(options))
        .arg(device)
        .run()
}

fn arguments(options: Options) -> Vec<String> {
    let mut arguments = vec!["-m".to_owned(), format!("uuid={}", options.uuid)];
    if let Some(label) = options.label.filter(|label| !label.is_empty()) {
        arguments.extend(["-L".to_owned(), label]);
    }
    if let Some(count) = options.agcount.filter(|count| *count != 0) {
        arguments.extend(["-d".to_owned(), format!("agcount={count}")]);
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
            .program("mkfs.xfs", "");
        test.run().success().log
    }

    #[test]
    fn options_become_arguments() {
        assert_eq!(
            log_of(json!({"uuid": "dd"})),
            "$ mkfs.xfs -m uuid=dd /dev/xxd1\n"
        );
        let options = json!({"uuid": "dd", "label": "root", "agcount": 4});
        assert_eq!(
            log_of(options),
            "$ mkfs.xfs -m uuid=dd -L root -d agcount=4 /dev/xxd1\n"
        );
    }

    #[test]
    fn a_real_file_system_is_made() {
        needs![tool("mkfs.xfs"), tool("xfs_admin")];
        let uuid = "a957573a-f432-4bed-a0bc-e541bddf8579";
        let test = StageTest::new(&STAGE, json!({"uuid": uuid, "label": "root"}));
        let disk = test.workspace().join("disk.img");
        fs_err::File::create(&disk)
            .unwrap()
            .set_len(320 << 20)
            .unwrap();
        let test = test.device("device", &disk);
        let _ = test.run().success();
        let bytes = test
            .context()
            .command("xfs_admin")
            .arg("-lu")
            .arg(&disk)
            .read()
            .unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            format!("label = \"root\"\nUUID = {uuid}\n")
        );
    }
}
