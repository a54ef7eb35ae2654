//! Makes links.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.ln", include_str!("ln.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    paths: Vec<Item>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    target: String,
    link_name: String,
    #[serde(default)]
    symbolic: bool,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    for Item {
        target,
        link_name,
        symbolic,
    } in &options.paths
    {
        let location = context.resolve_location(link_name)?;
        let shown = location.host_path();
        context.log(format_args!("Linking '{}' -> '{target}'", shown.display()));
        let root = location.tree_root()?;
        if *symbolic {
            context.log(format_args!(
                "Creating symbolic link: '{}' -> '{target}'",
                shown.display()
            ));
            root.symlink(target, location.path())?;
        } else {
            context.log(format_args!(
                "Creating hard link: '{}' -> '{target}'",
                shown.display()
            ));
            // Upstream takes the path as one of the build root, where no file can be linked from.
            root.hard_link(target, location.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn links_of_both_kinds_are_made() {
        let options = json!({"paths": [
            {"target": "../usr/lib/os-release", "link_name": "tree:///etc/os-release", "symbolic": true},
            {"target": "/a", "link_name": "tree:///b"},
            {"target": "c", "link_name": "tree:///d", "symbolic": false},
        ]});
        let test = StageTest::new(&STAGE, options)
            .directory("etc")
            .file("a", "1")
            .file("c", "2");
        assert_eq!(
            test.run().success().tree,
            "a 0644 \"1\"\nb 0644 \"1\"\nc 0644 \"2\"\nd 0644 \"2\"\n\
             etc/ 0755\netc/os-release -> ../usr/lib/os-release\n"
        );
        assert_eq!(fs_err::metadata(test.path("a")).unwrap().nlink(), 2);
    }

    #[test]
    fn a_link_does_not_replace_what_is_there() {
        let options =
            json!({"paths": [{"target": "x", "link_name": "tree:///a", "symbolic": true}]});
        let test = StageTest::new(&STAGE, options).file("a", "1");
        assert_eq!(
            test.run().error(),
            "FileExistsError: linking TREE/a: File exists (os error 17)"
        );
    }
}
