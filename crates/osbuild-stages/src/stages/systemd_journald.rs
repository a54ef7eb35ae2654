//! Configures the journal.

use anyhow::Result;
use std::io::Write;

use osbuild_stage_api::{StageContext, StageModule};
use rustix::fs::OFlags;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::ini::{Ini, unit_str};

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.systemd-journald",
    include_str!("systemd_journald.meta.json"),
    run,
);

const DIRECTORY: &str = "/usr/lib/systemd/journald.conf.d";
const FILE_MODE: u32 = 0o666;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    config: Map<String, Value>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { filename, config } = context.options()?;
    let tree = context.tree_path()?;
    tree.create_dir_all(DIRECTORY)?;
    let mut ini = Ini::default();
    ini.sections(&config, unit_str);
    // One that is there belongs to a package, or to a stage before: neither is overwritten.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let mut file = tree.open_file(format!("{DIRECTORY}/{filename}"), flags, FILE_MODE)?;
    Ok(file.write_all(ini.into_text().as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    fn options() -> Value {
        json!({"filename": "x.conf", "config": {"Journal": {"Storage": "persistent", "Audit": "no"}}})
    }

    #[test]
    fn a_file_is_written() {
        let test = StageTest::new(&STAGE, options());
        assert_eq!(
            test.run().success().tree.lines().last(),
            Some(
                "usr/lib/systemd/journald.conf.d/x.conf 0644 \"[Journal]\\nStorage=persistent\\nAudit=no\\n\\n\""
            )
        );
    }

    #[test]
    fn a_file_that_is_there_is_an_error() {
        let test =
            StageTest::new(&STAGE, options()).file("usr/lib/systemd/journald.conf.d/x.conf", "old");
        let ran = test.run();
        assert_eq!(
            ran.error(),
            "FileExistsError: opening TREE/usr/lib/systemd/journald.conf.d/x.conf: File exists (os error 17)"
        );
        assert!(ran.tree.ends_with("x.conf 0644 \"old\"\n"));
    }
}
