//! Fails on purpose.

use anyhow::Result;
use osbuild_stage_api::{ExitWith, StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.error", include_str!("error.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default = "usual_status")]
    returncode: i64,
}

fn usual_status() -> i64 {
    255
}

fn run(context: &StageContext) -> Result<()> {
    let Options { returncode } = context.options()?;
    context.log(format_args!(
        "Error stage will now return error: {returncode}"
    ));
    // The kernel keeps the low eight bits of what a process exits with.
    Err(ExitWith((returncode & 0xff) as u8).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn it_ends_with_the_wanted_status() {
        for (options, status) in [
            (json!({}), 255),
            (json!({"returncode": 3}), 3),
            (json!({"returncode": 258}), 2),
        ] {
            let error = StageTest::new(&STAGE, options).run().result.unwrap_err();
            assert_eq!(error.downcast_ref(), Some(&ExitWith(status)));
        }
    }
}
