//! Signs a commit of an `OSTree` repository.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::ostree_settings;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.ostree.sign",
    include_str!("ostree_sign.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    repo: String,
    #[serde(rename = "ref")]
    reference: String,
    key: String,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let tree = context.tree_path()?;
    context
        .command("ostree")
        .args(["sign", &options.reference])
        .arg(format!(
            "--repo={}",
            ostree_settings::repository(context, &options.repo)?.display()
        ))
        .arg(format!(
            "--keys-file={}",
            tree.real_path(&options.key)?.display()
        ))
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_key_is_a_file_of_the_tree() {
        let options = json!({"repo": "/repo", "ref": "a/b", "key": "/keys/secret"});
        let test = StageTest::new(&STAGE, options)
            .directory("repo")
            .program("ostree", "true");
        assert_eq!(
            test.run().error().split(':').next(),
            Some("FileNotFoundError")
        );
        let test = test.file("keys/secret", "");
        assert_eq!(
            test.run().success().log,
            "$ ostree sign a/b --repo=TREE/repo --keys-file=TREE/keys/secret\n"
        );
    }
}
