//! Fails on purpose.

use anyhow::Result;
use osbuild_stage_api::{ExitWith, StageContext, StageModule};
use serde::Deserialize;
use serde_json::Number;

pub(crate) const ASSEMBLER: StageModule =
    StageModule::new::<Options>("org.osbuild.error", include_str!("error.meta.json"), run);

/// What Python ends with when it is asked to exit with something that is no integer.
const NO_INTEGER: u8 = 1;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default = "usual_status")]
    returncode: Number,
}

fn usual_status() -> Number {
    Number::from(255)
}

fn run(context: &StageContext) -> Result<()> {
    let Options { returncode } = context.options()?;
    context.log(format_args!(
        "Error assembler will now return error: {returncode}"
    ));
    // The kernel keeps the low eight bits of what a process exits with.
    let status = returncode
        .as_i64()
        .map_or(NO_INTEGER, |status| (status & 0xff) as u8);
    Err(ExitWith(status).into())
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
            (json!({"returncode": 2.5}), 1),
        ] {
            let ran = StageTest::new(&ASSEMBLER, options).run();
            assert_eq!(
                ran.result.unwrap_err().downcast_ref(),
                Some(&ExitWith(status))
            );
        }
    }
}
