//! Configures the Windows Subsystem for Linux.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::ini_file;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.wsl.conf",
    include_str!("wsl_conf.meta.json"),
    run,
);

const FILE: &str = "/etc/wsl.conf";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    boot: Option<Boot>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Boot {
    #[serde(default)]
    systemd: bool,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { boot } = context.options()?;
    let Some(boot) = boot else {
        return Ok(());
    };
    let mut document = ini_file::read_or_new(context, FILE)?;
    document.set("boot", "systemd", &boot.systemd.to_string());
    context.tree_path()?.write(FILE, document.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_file_is_made_or_changed() {
        let options = json!({"boot": {"systemd": true}});
        let test = StageTest::new(&STAGE, options.clone()).directory("etc");
        assert_eq!(
            test.run().success().tree,
            "etc/ 0755\netc/wsl.conf 0644 \"[boot]\\nsystemd = true\"\n"
        );
        let test = StageTest::new(&STAGE, options).file(FILE, "[boot]\nsystemd=false\ncommand=x\n");
        assert_eq!(
            test.run().success().tree,
            "etc/ 0755\netc/wsl.conf 0644 \"[boot]\\nsystemd=true\\ncommand=x\\n\"\n"
        );
    }
}
