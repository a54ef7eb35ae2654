//! Changes the owners of files, with the names of the tree.

use anyhow::Result;
use indexmap::IndexMap;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::Value;

use crate::shared::ini::python_str;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.chown", include_str!("chown.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    items: IndexMap<String, Item>,
}

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Deserialize)]
struct Item {
    user: Option<Value>,
    group: Option<Value>,
    #[serde(default)]
    recursive: bool,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    for (path, item) in &options.items {
        let name = |value: &Option<Value>| value.as_ref().map(python_str).unwrap_or_default();
        let owner = format!("{}:{}", name(&item.user), name(&item.group));
        // Inside the tree: it knows its users, and its links lead where they will.
        context
            .command("/usr/sbin/chroot")
            .arg(context.tree())
            .arg("chown")
            .arg(owner.trim_end_matches(':'))
            .args(item.recursive.then_some("--recursive"))
            .args(["--", path])
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
    fn the_tree_changes_its_own_files() {
        let options = json!({"items": {
            "/a": {"user": "anna"},
            "/b": {"group": 100, "recursive": true},
            "/c": {"user": 0, "group": "users"},
        }});
        let test = StageTest::new(&STAGE, options).program("chroot", "true");
        assert_eq!(
            test.run().success().log,
            "$ chroot TREE chown anna -- /a\n\
             $ chroot TREE chown :100 --recursive -- /b\n\
             $ chroot TREE chown 0:users -- /c\n"
        );
    }

    #[test]
    fn a_user_the_tree_does_not_know_is_an_error() {
        let test = StageTest::new(
            &STAGE,
            json!({"items": {"/a": {"user": "nobody-of-that-name"}}}),
        )
        .program("chroot", "echo 'chown: invalid user' >&2; exit 1");
        assert!(
            test.run()
                .error()
                .ends_with("returned non-zero exit status 1.")
        );
    }
}
