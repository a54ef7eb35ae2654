//! What a new stage starts as: a small one that works, to be turned into the wanted one.

use crate::stage_list::file_stem;

/// The text of the `.rs` file.
pub(crate) fn source(name: &str) -> String {
    SOURCE
        .replace("@NAME@", name)
        .replace("@STEM@", &file_stem(name))
}

/// The text of the `.meta.json` file.
pub(crate) fn meta(name: &str) -> String {
    META.replace("@STEM@", &file_stem(name))
}

/// The line that has the stage run on trees with hostile links.
pub(crate) fn hostile_sample(name: &str) -> String {
    SAMPLE
        .replace("@NAME@", name)
        .replace("@STEM@", &file_stem(name))
}

const SAMPLE: &str = r#"        sample("@NAME@", json!({"text": "x"}), &["etc/@STEM@"]),
"#;

const META: &str = r#"{
  "summary": "Write `/etc/@STEM@`",
  "description": [
    "Says in a few lines what the stage does to the tree, what it replaces, and which program of",
    "the build root it needs."
  ],
  "schema_2": {
    "options": {
      "additionalProperties": false,
      "required": [
        "text"
      ],
      "properties": {
        "text": {
          "type": "string",
          "description": "The content of the file"
        }
      }
    }
  }
}
"#;

const SOURCE: &str = r#"//! Writes `/etc/@STEM@`.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("@NAME@", include_str!("@STEM@.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    text: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { text } = context.options()?;
    context.tree_path()?.write("/etc/@STEM@", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_file_is_written() {
        let test = StageTest::new(&STAGE, json!({"text": "hello"})).directory("etc");
        assert_eq!(test.run().success().tree, "etc/ 0755\netc/@STEM@ 0644 \"hello\"\n");
    }

    #[test]
    fn the_directory_must_be_there() {
        let test = StageTest::new(&STAGE, json!({"text": "hello"}));
        assert_eq!(
            test.run().error(),
            "FileNotFoundError: opening TREE/etc/@STEM@: No such file or directory (os error 2)"
        );
    }
}
"#;
