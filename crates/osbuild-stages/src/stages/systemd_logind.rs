//! Configures logins.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::ini::{Ini, unit_str};

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.systemd-logind",
    include_str!("systemd_logind.meta.json"),
    run,
);

const DIRECTORY: &str = "/usr/lib/systemd/logind.conf.d";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    config: Map<String, Value>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { filename, config } = context.options()?;
    let mut ini = Ini::default();
    ini.sections(&config, unit_str);
    let tree = context.tree_path()?;
    tree.create_dir_all(DIRECTORY)?;
    tree.write(format!("{DIRECTORY}/{filename}"), ini.into_text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn a_file_is_written() {
        let options =
            json!({"filename": "x.conf", "config": {"Login": {"NAutoVTs": 0, "ReserveVT": 4}}});
        let test =
            StageTest::new(&STAGE, options).file("usr/lib/systemd/logind.conf.d/x.conf", "old");
        assert_eq!(
            test.run().success().tree.lines().last(),
            Some(
                "usr/lib/systemd/logind.conf.d/x.conf 0644 \"[Login]\\nNAutoVTs=0\\nReserveVT=4\\n\\n\""
            )
        );
    }
}
