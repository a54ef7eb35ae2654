//! Makes nothing, and says of what.

use anyhow::Result;
use osbuild_stage_api::{NoOptions, StageContext, StageModule};

pub(crate) const ASSEMBLER: StageModule =
    StageModule::new::<NoOptions>("org.osbuild.noop", include_str!("noop.meta.json"), run);

fn run(context: &StageContext) -> Result<()> {
    let NoOptions {} = context.options()?;
    context.log("Not doing anything with these options: {}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::{Value, json};

    #[test]
    fn nothing_is_made() {
        let test = StageTest::new(&ASSEMBLER, json!({})).input("tree", &[("a", b"1")], Value::Null);
        let ran = test.run().success();
        assert_eq!(ran.tree, "");
        assert_eq!(ran.log, "Not doing anything with these options: {}\n");
    }
}
