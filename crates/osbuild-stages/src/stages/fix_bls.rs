//! Repairs paths in boot loader entries that were written while the image was built.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::boot_entries;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.fix-bls",
    include_str!("fix_bls.meta.json"),
    run,
);

const ENTRIES: &str = "/boot/loader/entries";
const BOOT: &str = "/boot";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default = "boot")]
    prefix: String,
    #[serde(default = "yes")]
    require_boot_prefix: bool,
}

fn boot() -> String {
    BOOT.to_owned()
}

fn yes() -> bool {
    true
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let tree = context.tree_path()?;
    for file in boot_entries::find(&tree, ENTRIES.as_ref())? {
        let before = tree.read_to_string(&file)?;
        let lines = before.split_inclusive('\n');
        tree.write(
            &file,
            lines.map(|line| fix(line, &options)).collect::<String>(),
        )?;
    }
    Ok(())
}

/// Replaces everything from the first slash to the last `/boot`.
fn fix(line: &str, options: &Options) -> String {
    let place = line.find('/').zip(line.rfind(BOOT));
    match place {
        Some((start, end)) if start < end || (start == end && !options.require_boot_prefix) => {
            let rest = &line[end + BOOT.len()..];
            format!("{}{}{rest}", &line[..start], options.prefix)
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::{Value, json};

    const ENTRY: &str = "title A\nlinux /run/osbuild/tree/boot/vmlinuz-1\ninitrd /boot/initramfs-1.img\n\
                         options root=UUID=1 a=/x b=/y/boot/z\n";

    fn run_on(options: &Value) -> String {
        let file = "boot/loader/entries/1.conf";
        let test = StageTest::new(&STAGE, options.clone())
            .file(file, ENTRY)
            .file("boot/loader/entries/other", "/a/boot");
        let ran = test.run().success();
        assert!(ran.tree.contains("entries/other 0644 \"/a/boot\""));
        fs_err::read_to_string(test.path(file)).unwrap()
    }

    #[test]
    fn paths_of_the_tree_become_paths_of_the_system() {
        assert_eq!(
            run_on(&json!({})),
            "title A\nlinux /boot/vmlinuz-1\ninitrd /boot/initramfs-1.img\noptions root=UUID=1 a=/boot/z\n"
        );
    }

    #[test]
    fn a_boot_file_system_has_no_prefix() {
        assert_eq!(
            run_on(&json!({"prefix": "", "require_boot_prefix": false})),
            "title A\nlinux /vmlinuz-1\ninitrd /initramfs-1.img\noptions root=UUID=1 a=/z\n"
        );
    }

    #[test]
    fn without_entries_there_is_nothing_to_do() {
        assert_eq!(StageTest::new(&STAGE, json!({})).run().success().tree, "");
    }
}
