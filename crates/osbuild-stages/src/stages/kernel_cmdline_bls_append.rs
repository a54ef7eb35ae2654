//! Adds kernel options to boot loader entries.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageError, StageModule};
use serde::Deserialize;

use crate::shared::boot_entries;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.kernel-cmdline.bls-append",
    include_str!("kernel_cmdline_bls_append.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    kernel_opts: Vec<String>,
    bootpath: Option<String>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options {
        kernel_opts,
        bootpath,
    } = context.options()?;
    let location = context.resolve_location(bootpath.as_deref().unwrap_or("tree:///boot"))?;
    let (tree, entries) = (
        location.tree_root()?,
        location.path().join("loader/entries"),
    );
    let files = boot_entries::find(&tree, &entries)?;
    if files.is_empty() {
        let glob = location.host_path().join("loader/entries/*.conf");
        let text = format!("no BLS configuration found in {}", glob.display());
        return Err(StageError::new("RuntimeError", text).into());
    }
    for file in files {
        // A new file in place of the old one: the boot loader sees either.
        let new = file.with_extension("conf.tmp");
        tree.remove_file(&new)?;
        let text = append(&tree.read_to_string(&file)?, &kernel_opts.join(" "));
        tree.write(&new, text)?;
        tree.rename(&new, &file)?;
    }
    Ok(())
}

/// Adds to the first line of options, or adds one.
fn append(entry: &str, options: &str) -> String {
    let mut is_done = false;
    let mut text = String::new();
    for line in entry.lines() {
        if !is_done && line.starts_with("options ") {
            is_done = true;
            text.push_str(&format!("{line} {options}\n"));
        } else {
            text.push_str(&format!("{line}\n"));
        }
    }
    if !is_done {
        text.push_str(&format!("options {options}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn every_entry_gets_the_options() {
        let ran = StageTest::new(&STAGE, json!({"kernel_opts": ["a", "b"]}))
            .file(
                "boot/loader/entries/1.conf",
                "title x\noptions ro\noptions no",
            )
            .file("boot/loader/entries/2.conf", "title y\n")
            .run()
            .success();
        let lines: Vec<_> = ran.tree.lines().skip(3).collect();
        assert_eq!(
            lines,
            [
                "boot/loader/entries/1.conf 0644 \"title x\\noptions ro a b\\noptions no\\n\"",
                "boot/loader/entries/2.conf 0644 \"title y\\noptions a b\\n\"",
            ]
        );
    }

    #[test]
    fn without_entries_the_stage_fails() {
        let ran = StageTest::new(&STAGE, json!({"kernel_opts": []})).run();
        assert_eq!(
            ran.error(),
            "RuntimeError: no BLS configuration found in TREE/boot/loader/entries/*.conf"
        );
    }
}
