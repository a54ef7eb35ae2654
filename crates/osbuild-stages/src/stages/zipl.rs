//! Configures the boot loader of s390x.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::Number;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.zipl", include_str!("zipl.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    timeout: Option<Number>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { timeout } = context.options()?;
    let timeout = timeout.map_or("0".to_owned(), |seconds| seconds.to_string());
    let tree = context.tree_path()?;
    tree.create_dir_all("/etc")?;
    let text = format!("[defaultboot]\ndefaultauto\nprompt=1\ntimeout={timeout}\ntarget=/boot\n");
    tree.write("/etc/zipl.conf", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_file_is_replaced() {
        for (options, timeout) in [(json!({}), 0), (json!({"timeout": 5}), 5)] {
            let ran = StageTest::new(&STAGE, options)
                .file("etc/zipl.conf", "old")
                .run()
                .success();
            assert_eq!(
                ran.tree,
                format!(
                    "etc/ 0755\netc/zipl.conf 0644 \
                     \"[defaultboot]\\ndefaultauto\\nprompt=1\\ntimeout={timeout}\\ntarget=/boot\\n\"\n"
                )
            );
        }
    }
}
