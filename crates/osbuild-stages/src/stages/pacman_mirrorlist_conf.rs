//! Lists the mirrors of pacman.

use std::path::Path;

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.pacman.mirrorlist.conf",
    include_str!("pacman_mirrorlist_conf.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default = "usual_file")]
    filename: String,
    #[serde(default)]
    mirrors: Vec<String>,
}

fn usual_file() -> String {
    "/etc/pacman.d/mirrorlist".to_owned()
}

fn run(context: &StageContext) -> Result<()> {
    let Options { filename, mirrors } = context.options()?;
    let tree = context.tree_path()?;
    if let Some(directory) = Path::new(&filename).parent() {
        tree.create_dir_all(directory)?;
    }
    let lines = mirrors.iter().map(|mirror| format!("Server = {mirror}\n"));
    tree.write(&filename, lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_file_has_a_default() {
        let test = StageTest::new(&STAGE, json!({}));
        assert_eq!(
            test.run().success().tree,
            "etc/ 0755\netc/pacman.d/ 0755\netc/pacman.d/mirrorlist 0644 \"\"\n"
        );
    }
}
