//! Installs the boot loader of s390x.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use indexmap::IndexMap;
use osbuild_stage_api::{StageContext, StageModule, TreeRoot};
use serde::Deserialize;
use serde_json::Value;

use crate::shared::ini::python_str;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.zipl.inst",
    include_str!("zipl_inst.meta.json"),
    run,
);

/// Where boot loader entries are, below the mounts.
const ENTRIES: &str = "/boot/loader/entries";
const BLOCK_SIZE: &str = "512";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    kernel: String,
    location: Value,
    #[serde(default)]
    kernel_opts_append: Vec<String>,
    blocksize: Option<Value>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let root = TreeRoot::open(context.mounts_root())?;
    let disk = context.devices_root().join(context.device("disk")?.path());
    let entry = find_entry(&root, &options.kernel)?;
    let file = |key: &str| -> Result<PathBuf> {
        let path = entry.get(key);
        root.real_path(path.with_context(|| format!("the entry of the kernel has no `{key}`"))?)
    };
    let mut parameters = vec![entry.get("options").cloned().unwrap_or_default()];
    parameters.extend(options.kernel_opts_append);
    let block_size = options
        .blocksize
        .as_ref()
        .map_or(BLOCK_SIZE.to_owned(), python_str);
    context
        .command("/usr/sbin/zipl")
        .arg("--verbose")
        .arg("--target")
        .arg(root.real_path("/boot")?)
        .arg("--image")
        .arg(file("linux")?)
        .arg("--ramdisk")
        .arg(file("initrd")?)
        .args(["--parameters", &parameters.join(" ")])
        .arg("--targetbase")
        .arg(disk)
        .args(["--targettype", "SCSI", "--targetblocksize", &block_size])
        .args(["--targetoffset", &python_str(&options.location)])
        .run()
}

/// Finds the boot loader entry of a kernel by its version.
fn find_entry(root: &TreeRoot, version: &str) -> Result<IndexMap<String, String>> {
    for name in root.read_dir(ENTRIES)? {
        let name = name.to_string_lossy();
        let is_entry = name
            .strip_suffix(".conf")
            .is_some_and(|stem| !stem.ends_with("rescue"));
        if !is_entry {
            continue;
        }
        let text = root.read_to_string(format!("{ENTRIES}/{name}"))?;
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let entry: IndexMap<_, _> = lines
            .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
            .collect();
        if entry.get("version").is_some_and(|found| found == version) {
            return Ok(entry);
        }
    }
    bail!("Unknown kernel: {version}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    fn test(kernel: &str) -> StageTest {
        let options = json!({"kernel": kernel, "location": 2048, "kernel_opts_append": ["a", "b"]});
        let test = StageTest::new(&STAGE, options)
            .device("disk", "/dev/loop5".as_ref())
            .mount("boot")
            .program("zipl", "true");
        let entry = "title x\nversion 6.8\nlinux /boot/vmlinuz\ninitrd /boot/initrd\noptions root=/dev/x ro\n";
        for (name, text) in [
            ("vmlinuz", ""),
            ("initrd", ""),
            ("loader/entries/0-rescue.conf", "version 6.8\n"),
            ("loader/entries/a.conf", entry),
        ] {
            let file = test.mounts().join("boot").join(name);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, text).unwrap();
        }
        test
    }

    #[test]
    fn the_kernel_is_found_by_its_entry() {
        assert_eq!(
            test("6.8").run().success().log,
            "$ zipl --verbose --target MOUNTS/boot --image MOUNTS/boot/vmlinuz --ramdisk MOUNTS/boot/initrd \
             --parameters 'root=/dev/x ro a b' --targetbase /dev/loop5 --targettype SCSI --targetblocksize 512 \
             --targetoffset 2048\n"
        );
        assert_eq!(test("6.9").run().error(), "ValueError: Unknown kernel: 6.9");
    }

    #[test]
    fn links_of_the_mounts_do_not_lead_out() {
        for link in ["boot/loader/entries", "boot/vmlinuz", "boot/initrd", "boot"] {
            let test = test("6.8");
            let outside = test.workspace().join("outside");
            fs_err::create_dir(&outside).unwrap();
            let place = test.mounts().join(link);
            fs_err::rename(&place, outside.join("there")).unwrap();
            std::os::unix::fs::symlink(outside.join("there"), &place).unwrap();
            let watch = osbuild_testing::access_watch::AccessWatch::new(&outside).unwrap();
            let ran = test.run();
            assert!(ran.result.is_err(), "{link}: {}", ran.log);
            assert_eq!(ran.log, "", "{link}: zipl was started");
            assert!(watch.accessed().unwrap().is_empty(), "{link}");
        }
    }
}
