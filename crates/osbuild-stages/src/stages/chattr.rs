//! Makes files immutable, or mutable.

use anyhow::Result;
use indexmap::IndexMap;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.chattr", include_str!("chattr.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    items: IndexMap<String, Item>,
}

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Deserialize)]
struct Item {
    immutable: bool,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { items } = context.options()?;
    for (location, item) in &items {
        let location = context.resolve_location(location)?;
        let file = location.tree_root()?.real_path(location.path())?;
        let operation = if item.immutable { "+i" } else { "-i" };
        context.command("chattr").arg(operation).arg(file).run()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn files_of_trees_and_mounts_are_changed() {
        let options = json!({"items": {"tree:///a": {"immutable": true}, "mount://root/": {"immutable": false}}});
        let ran = StageTest::new(&STAGE, options)
            .symlink("a", "/b")
            .file("b", "")
            .mount("root")
            .program("chattr", "true")
            .run()
            .success();
        assert_eq!(ran.log, "$ chattr +i TREE/b\n$ chattr -i MOUNTS/root\n");
    }
}
