//! Makes a ZIP archive of a tree.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::Number;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.zip", include_str!("zip.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    #[serde(default)]
    include: Vec<String>,
    level: Option<Number>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options {
        filename,
        include,
        level,
    } = context.options()?;
    let level = level.map_or("6".to_owned(), |level| level.to_string());
    let mut command = context
        .command("zip")
        .args(["-q", "-r", &format!("-{level}")])
        .arg(context.tree_path()?.target_path(archive_name(filename))?)
        .arg(".");
    if !include.is_empty() {
        // What follows it belongs to it.
        command = command.arg("-i").args(include);
    }
    command.current_dir(context.input("tree")?.path()).run()
}

/// The file that `zip` writes: it adds an ending to a name without a dot, and would follow a link of that name.
fn archive_name(mut filename: String) -> String {
    let name = filename.rsplit('/').next().unwrap_or_default();
    if !name.contains('.') {
        filename.push_str(".zip");
    }
    filename
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_input_is_packed_into_the_tree() {
        for (options, log) in [
            (
                json!({"filename": "/a.zip"}),
                "$ zip -q -r -6 TREE/a.zip .\n",
            ),
            (json!({"filename": "/a"}), "$ zip -q -r -6 TREE/a.zip .\n"),
            (
                json!({"filename": "a.zip", "level": 0, "include": ["x", "y/*"]}),
                "$ zip -q -r -0 TREE/a.zip . -i x 'y/*'\n",
            ),
        ] {
            let ran = StageTest::new(&STAGE, options)
                .input("tree", &[("x", b"")], json!(null))
                .program("zip", "test -e x")
                .run()
                .success();
            assert_eq!(ran.log, log);
        }
    }
}
