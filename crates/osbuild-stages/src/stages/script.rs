//! Runs a script in the tree.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;

use anyhow::{Context as _, Result};
use osbuild_stage_api::{ExitWith, StageContext, StageModule};
use rustix::fs::OFlags;
use serde::Deserialize;

use crate::shared::shut_in::shut_in;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.script", include_str!("script.meta.json"), run);

const FILE: &str = "/osbuild-script";
const MODE: u32 = 0o550;
/// What a shell adds to the number of the signal that ended a program.
const SIGNAL_STATUS: i32 = 128;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    script: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { script } = context.options()?;
    let tree = context.tree_path()?;
    // A new file: what the tree has by this name is not ours to overwrite or remove.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let mut file = tree.open_file(FILE, flags, MODE)?;
    file.set_permissions(PermissionsExt::from_mode(MODE))
        .and_then(|()| file.write_all(script.as_bytes()))
        .with_context(|| format!("writing {FILE}"))?;
    // A file that is open for writing can not be run.
    drop(file);
    let status = context
        .chroot()
        .and_then(|chroot| shut_in(|| chroot.command(FILE).status()));
    tree.remove_file(FILE)?;
    let status = status?;
    if status.success() {
        return Ok(());
    }
    context.log(format_args!("the script ended with {status}"));
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| SIGNAL_STATUS + signal));
    let code = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Err(ExitWith(code).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    /// Stands in for `chroot`: runs the script with the tree for its directory.
    const CHROOT: &str = r#"cd "$1" && exec ".$2""#;

    fn test(script: &str) -> StageTest {
        StageTest::new(&STAGE, json!({"script": script}))
            .directory("proc")
            .directory("dev")
            .directory("sys")
            .program("chroot", CHROOT)
    }

    #[test]
    fn the_script_works_on_the_tree_and_goes() {
        osbuild_testing::needs![root];
        let ran = test("#!/bin/sh\nstat -c %a osbuild-script\necho done >file\n")
            .run()
            .success();
        assert_eq!(
            ran.tree,
            "dev/ 0755\nfile 0644 \"done\\n\"\nproc/ 0755\nsys/ 0755\n"
        );
        assert_eq!(ran.log, "$ chroot TREE /osbuild-script\n550\n");
    }

    #[test]
    fn the_stage_fails_as_the_script_does() {
        osbuild_testing::needs![root];
        for (script, status) in [("exit 7", 7), ("kill -9 $$", 137)] {
            let ran = test(&format!("#!/bin/sh\n{script}\n")).run();
            assert_eq!(
                ran.result.unwrap_err().downcast_ref(),
                Some(&ExitWith(status))
            );
            assert!(!ran.tree.contains("osbuild-script"), "{}", ran.tree);
        }
    }

    #[test]
    fn a_file_of_the_tree_is_not_overwritten() {
        let ran = test("#!/bin/sh\n").file("osbuild-script", "mine").run();
        assert_eq!(ran.error().split(':').next(), Some("FileExistsError"));
        assert!(ran.tree.contains("osbuild-script 0644 \"mine\""));
    }
}
