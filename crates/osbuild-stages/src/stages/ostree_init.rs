//! Makes an `OSTree` repository.

use std::path::Path;

use anyhow::{Result, ensure};
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.ostree.init",
    include_str!("ostree_init.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default = "archive")]
    mode: String,
    #[serde(default = "usual_path")]
    path: String,
}

fn archive() -> String {
    "archive".to_owned()
}

fn usual_path() -> String {
    "/repo".to_owned()
}

fn run(context: &StageContext) -> Result<()> {
    let Options { mode, path } = context.options()?;
    let tree = context.tree_path()?;
    let path = Path::new(path.trim_start_matches('/'));
    if let Some(above) = path.parent() {
        tree.create_dir_all(above)?;
    }
    for part in ["config", "objects", "tmp", "tmp/cache"] {
        let part = path.join(part);
        // `ostree` looks into what is there already, through links.
        ensure!(
            tree.read_link(&part).is_err(),
            "{} is a link",
            part.display()
        );
    }
    context
        .command("ostree")
        .args(["init", "-v", &format!("--mode={mode}")])
        .arg(format!("--repo={}", tree.target_path(path)?.display()))
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn directories_above_are_made() {
        for (options, log, tree) in [
            (
                json!({}),
                "$ ostree init -v --mode=archive --repo=TREE/repo\n",
                "",
            ),
            (
                json!({"mode": "bare", "path": "/ostree/repo"}),
                "$ ostree init -v --mode=bare --repo=TREE/ostree/repo\n",
                "ostree/ 0755\n",
            ),
        ] {
            let test = StageTest::new(&STAGE, options).program("ostree", "true");
            let ran = test.run().success();
            assert_eq!((ran.log.as_str(), ran.tree.as_str()), (log, tree));
        }
    }
}
