//! Does nothing, and says with what.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};

pub(crate) const STAGE: StageModule =
    StageModule::new::<serde_json::Value>("org.osbuild.noop", include_str!("noop.meta.json"), run);

fn run(context: &StageContext) -> Result<()> {
    let options: serde_json::Value = context.options()?;
    context.log(format_args!(
        "Not doing anything with these options: {options}"
    ));
    for (name, reply) in context.inputs() {
        context.log(format_args!(
            "Not doing anything with Input '{name}' {reply}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::{Value, json};

    #[test]
    fn the_tree_is_left_alone() {
        let test = StageTest::new(&STAGE, json!({"anything": ["goes"]}))
            .file("a", "1")
            .input("in", &[], Value::Null);
        let ran = test.run().success();
        assert_eq!(ran.tree, "a 0644 \"1\"\n");
        assert_eq!(
            ran.log,
            "Not doing anything with these options: {\"anything\":[\"goes\"]}\n\
             Not doing anything with Input 'in' {\"path\":\"INPUTS/in\",\"data\":null}\n"
        );
    }
}
