//! Makes directories.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.mkdir", include_str!("mkdir.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    paths: Vec<Item>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    path: String,
    #[serde(default = "usual_mode")]
    mode: u32,
    #[serde(default, deserialize_with = "truth")]
    parents: bool,
    #[serde(default, deserialize_with = "truth")]
    exist_ok: bool,
}

/// Reads a boolean; where no schema was asked, a number does as well, as in Python.
fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Bool(value) => Ok(value),
        Value::Number(number) => Ok(number.as_f64() != Some(0.0)),
        value => Err(D::Error::custom(format!("{value} is no boolean"))),
    }
}

fn usual_mode() -> u32 {
    0o777
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    options
        .paths
        .iter()
        .try_for_each(|item| make(context, item))
}

fn make(context: &StageContext, item: &Item) -> Result<()> {
    let mut path = item.path.clone();
    if !path.contains("://") && !path.starts_with('/') {
        context.log("WARNING: relative path used, this is discouraged!");
        path = format!("tree:///{path}");
    }
    let location = context.resolve_location(&path)?;
    let (root, path) = (location.tree_root()?, location.path());
    if item.parents
        && let Some(above) = path.parent()
    {
        root.create_dir_all(above)?;
    }
    // Without `parents` whatever is there will do, be it a file: so does upstream.
    let is_there = if item.parents {
        root.is_dir(&path)?
    } else {
        root.has_entry(&path)?
    };
    if item.exist_ok && is_there {
        Ok(())
    } else {
        root.create_dir(&path, item.mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn directories_get_their_modes() {
        let test = StageTest::new(
            &STAGE,
            json!({"paths": [
                {"path": "/a"},
                {"path": "/a/b", "mode": 0o700},
                {"path": "relative", "exist_ok": true},
                {"path": "/x/y/z", "parents": true, "mode": 0o750},
                {"path": "/x/y/z", "parents": true, "exist_ok": true},
                {"path": "/a/b", "exist_ok": true, "mode": 0o755},
                {"path": "tree:///t/u/", "parents": 1, "exist_ok": 0, "mode": 0o777},
            ]}),
        );
        assert_eq!(
            test.run().success().tree,
            "a/ 0755\na/b/ 0700\nrelative/ 0755\nt/ 0755\nt/u/ 0755\nx/ 0755\nx/y/ 0755\nx/y/z/ 0750\n"
        );
    }

    #[test]
    fn mounts_are_reached() {
        let test =
            StageTest::new(&STAGE, json!({"paths": [{"path": "mount://root/boot"}]})).mount("root");
        assert_eq!(test.run().success().tree, "");
        assert!(test.mounts().join("root/boot").is_dir());
    }

    #[test]
    fn what_is_there_is_an_error_unless_accepted() {
        for item in [
            json!({"path": "/a"}),
            json!({"path": "/a", "parents": true}),
        ] {
            let test = StageTest::new(&STAGE, json!({"paths": [item]})).directory("a");
            assert_eq!(
                test.run().error(),
                "FileExistsError: creating the directory TREE/a: File exists (os error 17)"
            );
        }
    }

    #[test]
    fn a_missing_parent_is_an_error_unless_wished_for() {
        let test = StageTest::new(&STAGE, json!({"paths": [{"path": "/a/b"}]}));
        assert_eq!(
            test.run().error(),
            "FileNotFoundError: creating the directory TREE/a/b: No such file or directory (os error 2)"
        );
    }
}
