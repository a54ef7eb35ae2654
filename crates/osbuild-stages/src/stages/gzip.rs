//! Compresses a file with gzip.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::Value;

use crate::shared::only_file::{new_file, only_file};

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.gzip", include_str!("gzip.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    /// A number by the schema; callers that go around it have always got away with text.
    level: Option<Value>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let level = match options.level {
        None => "1".to_owned(),
        Some(Value::String(text)) => text,
        Some(number) => number.to_string(),
    };
    let source = only_file(context, "file")?;
    let target = new_file(context, &options.filename)?;
    // Without name and time the result depends on the content alone.
    context
        .command("gzip")
        .args(["--no-name", "--stdout"])
        .arg(format!("-{level}"))
        .arg(source)
        .write_to(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use osbuild_testing::needs;
    use serde_json::json;

    fn test_with(options: Value) -> StageTest {
        let files = json!({"files": {"sha256:00": {}}});
        StageTest::new(&STAGE, options).input(
            "file",
            &[("sha256:00", b"A file to be compressed")],
            files,
        )
    }

    #[test]
    fn what_goes_in_comes_out() {
        needs![tool("gzip")];
        let test = test_with(json!({"filename": "image.gz"}));
        assert_eq!(
            test.run().success().log,
            "$ gzip --no-name --stdout -1 INPUTS/file/sha256:00\n"
        );
        let command = test
            .context()
            .command("gzip")
            .args(["--decompress", "--stdout"]);
        assert_eq!(
            command.arg(test.path("image.gz")).read().unwrap(),
            b"A file to be compressed"
        );
    }

    #[test]
    fn the_level_is_passed_on() {
        for level in [json!(9), json!("9")] {
            let test =
                test_with(json!({"filename": "image.gz", "level": level})).program("gzip", "");
            assert!(
                test.run()
                    .success()
                    .log
                    .starts_with("$ gzip --no-name --stdout -9 ")
            );
        }
    }
}
