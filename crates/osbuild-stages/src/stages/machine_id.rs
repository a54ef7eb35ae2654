//! Decides what the first boot does with the machine id.

use anyhow::{Result, bail};
use osbuild_stage_api::{ExitWith, StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.machine-id",
    include_str!("machine_id.meta.json"),
    run,
);

const FILE: &str = "/etc/machine-id";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(rename = "first-boot")]
    first_boot: String,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let tree = context.tree_path()?;
    match options.first_boot.as_str() {
        // systemd since 247 takes this for a first boot; an empty file means any other boot.
        "yes" => tree.write(FILE, "uninitialized\n"),
        "no" => tree.write(FILE, ""),
        "preserve" if tree.is_file(FILE)? => Ok(()),
        "preserve" => {
            let file = format!("{}{FILE}", context.tree().display());
            context.log(format_args!(
                "{file} cannot be preserved, it does not exist"
            ));
            Err(ExitWith(1).into())
        }
        mode => bail!("unexpected machine-id mode '{mode}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_file_says_what_the_first_boot_is() {
        for (mode, before, after) in [
            (
                "yes",
                Some("0123\n"),
                "etc/ 0755\netc/machine-id 0644 \"uninitialized\\n\"\n",
            ),
            (
                "yes",
                None,
                "etc/ 0755\netc/machine-id 0644 \"uninitialized\\n\"\n",
            ),
            (
                "no",
                Some("0123\n"),
                "etc/ 0755\netc/machine-id 0644 \"\"\n",
            ),
            (
                "preserve",
                Some("0123\n"),
                "etc/ 0755\netc/machine-id 0644 \"0123\\n\"\n",
            ),
        ] {
            let mut test = StageTest::new(&STAGE, json!({"first-boot": mode})).directory("etc");
            if let Some(before) = before {
                test = test.file("etc/machine-id", before);
            }
            assert_eq!(test.run().success().tree, after, "{mode} {before:?}");
        }
    }

    #[test]
    fn nothing_can_not_be_preserved() {
        let ran = StageTest::new(&STAGE, json!({"first-boot": "preserve"}))
            .directory("etc")
            .run();
        assert_eq!(ran.result.unwrap_err().downcast_ref(), Some(&ExitWith(1)));
        assert_eq!(
            ran.log,
            "TREE/etc/machine-id cannot be preserved, it does not exist\n"
        );
    }
}
