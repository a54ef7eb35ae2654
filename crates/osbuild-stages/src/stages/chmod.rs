//! Changes the modes of files.

use anyhow::Result;
use anyhow::bail;
use indexmap::IndexMap;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.chmod", include_str!("chmod.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    items: IndexMap<String, Item>,
}

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Deserialize)]
struct Item {
    mode: String,
    #[serde(default)]
    recursive: bool,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    for (path, item) in &options.items {
        let location = context.resolve_location(path)?;
        let tree = location.tree_root()?;
        if !tree.exists(location.path())? {
            bail!("path {path} not in tree");
        }
        context
            .command("chmod")
            .arg(&item.mode)
            .args(item.recursive.then_some("--recursive"))
            .arg("--")
            .arg(tree.real_path(location.path())?)
            .run()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn modes_are_changed_one_by_one() {
        let options = json!({"items": {
            "/a": {"mode": "0700"},
            "/a/b": {"mode": "u+s,go="},
            "/c": {"mode": "g+w", "recursive": true},
        }});
        let test = StageTest::new(&STAGE, options)
            .file("a/b", "")
            .file("c/d", "")
            .file("e", "");
        let ran = test.run().success();
        assert_eq!(
            ran.tree,
            "a/ 0700\na/b 4600 \"\"\nc/ 0775\nc/d 0664 \"\"\ne 0644 \"\"\n"
        );
        assert_eq!(
            ran.log,
            "$ chmod 0700 -- TREE/a\n$ chmod u+s,go= -- TREE/a/b\n$ chmod g+w --recursive -- TREE/c\n"
        );
    }

    #[test]
    fn a_path_that_is_not_there_is_an_error() {
        let test = StageTest::new(&STAGE, json!({"items": {"/a": {"mode": "0700"}}}));
        assert_eq!(test.run().error(), "ValueError: path /a not in tree");
    }
}
