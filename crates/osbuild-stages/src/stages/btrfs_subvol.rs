//! Makes subvolumes of a Btrfs file system.

use std::path::Path;

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageError, StageModule, TreeRoot};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.btrfs.subvol",
    include_str!("btrfs_subvol.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    subvolumes: Option<Vec<Subvolume>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subvolume {
    name: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { subvolumes } = context.options()?;
    let missing = || StageError::new("KeyError", "there are no `subvolumes`");
    let root = TreeRoot::open(context.mounts_root())?;
    for Subvolume { name } in subvolumes.ok_or_else(missing)? {
        let name = Path::new(name.trim_start_matches('/'));
        if let Some(above) = name.parent() {
            root.create_dir_all(above)?;
        }
        context
            .command("btrfs")
            .args(["subvolume", "create", "-p"])
            .arg(root.real_parent_path(name)?)
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
    fn directories_above_are_made() {
        let options = json!({"subvolumes": [{"name": "/a"}, {"name": "/b/c"}]});
        let test = StageTest::new(&STAGE, options).program("btrfs", "true");
        assert_eq!(
            test.run().success().log,
            "$ btrfs subvolume create -p MOUNTS/a\n$ btrfs subvolume create -p MOUNTS/b/c\n"
        );
        assert!(test.mounts().join("b").is_dir());
    }

    #[test]
    fn links_of_the_file_system_do_not_lead_out() {
        let test = StageTest::new(&STAGE, json!({"subvolumes": [{"name": "/a/b"}]}))
            .program("btrfs", "true");
        let outside = test.workspace().join("outside");
        fs_err::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, test.mounts().join("a")).unwrap();
        let ran = test.run();
        let outside = outside.display().to_string();
        assert!(!ran.log.contains(&format!("-p {outside}")), "{}", ran.log);
    }
}
