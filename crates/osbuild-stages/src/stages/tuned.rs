//! Chooses profiles of `TuneD`.

use std::path::Path;

use anyhow::{Result, ensure};
use osbuild_stage_api::{StageContext, StageModule, TreeRoot};
use serde::Deserialize;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.tuned", include_str!("tuned.meta.json"), run);

const PROFILES: [&str; 2] = ["/usr/lib/tuned", "/etc/tuned"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    profiles: Vec<String>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { profiles } = context.options()?;
    let tree = context.tree_path()?;
    for profile in &profiles {
        ensure!(
            has_profile(&tree, profile)?,
            "TuneD profile '{profile}' does not exist"
        );
    }
    tree.write(
        "/etc/tuned/active_profile",
        format!("{}\n", profiles.join(" ")),
    )?;
    tree.write("/etc/tuned/profile_mode", "manual\n")
}

fn has_profile(tree: &TreeRoot, profile: &str) -> Result<bool> {
    // A profile is one directory, and no way to another.
    if profile.contains('/') || matches!(profile, "." | "..") {
        return Ok(false);
    }
    for directory in PROFILES.map(Path::new) {
        // Since version 2.23 they have a directory of their own.
        let own = directory.join("profiles");
        let directory = if tree.is_dir(&own)? { &own } else { directory };
        if tree.is_file(directory.join(profile).join("tuned.conf"))? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn profiles_that_the_tree_has_are_chosen() {
        let test = |profiles: serde_json::Value| {
            StageTest::new(&STAGE, json!({"profiles": profiles}))
                .file("usr/lib/tuned/profiles/a/tuned.conf", "")
                .file("usr/lib/tuned/old/tuned.conf", "")
                .file("etc/tuned/b/tuned.conf", "")
        };
        let ran = test(json!(["b", "a"])).run().success();
        assert!(
            ran.tree
                .contains("etc/tuned/active_profile 0644 \"b a\\n\"\n")
        );
        assert!(
            ran.tree
                .contains("etc/tuned/profile_mode 0644 \"manual\\n\"\n")
        );
        for missing in ["old", "..", "x"] {
            let ran = test(json!(["a", missing])).run();
            assert_eq!(
                ran.error(),
                format!("ValueError: TuneD profile '{missing}' does not exist")
            );
        }
    }
}
