//! Installing zipl, the boot loader of s390x. It wants a mounted system and the disk as a device.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use osbuild_stage_api::{StageContext, StageError, TreeRoot};

use super::table::Table;
use crate::shared::filesystem::extent::Extent;
use crate::shared::filesystem::filled::SECTOR;
use crate::shared::filesystem::loop_mount::{LoopMount, attach};

const ENTRIES: &str = "/boot/loader/entries";

/// What an entry of the boot menu starts; paths are those of the system.
#[derive(Debug, Default, PartialEq, Eq)]
struct Kernel {
    linux: PathBuf,
    initrd: PathBuf,
    options: String,
}

/// Mounts the image and has zipl write its map of the kernel's blocks.
pub(super) fn install(
    context: &StageContext,
    image: &Path,
    size: u64,
    table: &Table,
    tree: &TreeRoot,
) -> Result<()> {
    let kernel = find_kernel(tree)?;
    let missing = || StageError::new("RuntimeError", "Could not find part_with_boot");
    let (boot, _) = table.boot().ok_or_else(missing)?;
    let directory = tempfile::tempdir().context("making a temporary directory")?;
    let root = directory.path();
    let mut mounts = Vec::new();
    for (partition, system) in table.mounted() {
        let target = TreeRoot::open(root)?.real_path(&system.mountpoint)?;
        let extent = partition.extent;
        mounts.push(LoopMount::new(image, extent, system.r#type, &target)?);
    }
    let whole = Extent {
        start: 0,
        length: size,
    };
    let disk = attach(image, whole)?;
    let inside = |path: &Path| TreeRoot::open(root)?.real_path(path);
    context
        .command("/usr/sbin/zipl")
        .arg("--verbose")
        .arg("--target")
        .arg(inside(Path::new("/boot"))?)
        .arg("--image")
        .arg(inside(&kernel.linux)?)
        .arg("--ramdisk")
        .arg(inside(&kernel.initrd)?)
        .args(["--parameters", &kernel.options])
        .arg("--targetbase")
        .arg(disk.path())
        .args(["--targettype", "SCSI", "--targetblocksize", "512"])
        .args(["--targetoffset", &(boot.extent.start / SECTOR).to_string()])
        .run()?;
    disk.detach()?;
    while let Some(mounted) = mounts.pop() {
        mounted.finish()?;
    }
    Ok(())
}

/// Takes the first entry that is not for rescue.
fn find_kernel(tree: &TreeRoot) -> Result<Kernel> {
    for name in tree.read_dir(ENTRIES)? {
        let entry = Path::new(&name);
        let is_entry = entry.extension().is_some_and(|suffix| suffix == "conf");
        let stem = entry.file_stem().unwrap_or_default();
        if !is_entry || stem.as_encoded_bytes().ends_with(b"rescue") {
            continue;
        }
        let path = Path::new(ENTRIES).join(entry);
        let text = tree.read_to_string(&path)?;
        return parse(&text).with_context(|| format!("reading {}", path.display()));
    }
    Err(StageError::new(
        "ValueError",
        format!("there is no kernel to boot: {ENTRIES} has no entry"),
    )
    .into())
}

fn parse(entry: &str) -> Result<Kernel> {
    let value = |wanted: &str| {
        entry.lines().rev().find_map(|line| {
            let (key, value) = line.split_once(' ')?;
            (key == wanted).then(|| value.trim())
        })
    };
    let needed = |key: &str| {
        value(key).ok_or_else(|| StageError::new("KeyError", format!("the entry has no `{key}`")))
    };
    Ok(Kernel {
        linux: needed("linux")?.into(),
        initrd: needed("initrd")?.into(),
        options: value("options").unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_names_kernel_and_options() {
        let tree = tempfile::tempdir().unwrap();
        let entries = tree.path().join("boot/loader/entries");
        fs_err::create_dir_all(&entries).unwrap();
        let rescue = "linux /boot/rescue\ninitrd /boot/rescue.img\n";
        fs_err::write(entries.join("a-0-rescue.conf"), rescue).unwrap();
        fs_err::write(entries.join("a.txt"), "linux /x\n").unwrap();
        let entry =
            "title A system\nlinux /boot/vmlinuz\ninitrd  /boot/initrd \noptions root=LABEL=a ro\n";
        fs_err::write(entries.join("b-6.1.conf"), entry).unwrap();
        let root = TreeRoot::open(tree.path()).unwrap();
        assert_eq!(
            find_kernel(&root).unwrap(),
            Kernel {
                linux: "/boot/vmlinuz".into(),
                initrd: "/boot/initrd".into(),
                options: "root=LABEL=a ro".to_owned(),
            }
        );
        fs_err::remove_file(entries.join("b-6.1.conf")).unwrap();
        assert_eq!(
            find_kernel(&root).unwrap_err().to_string(),
            "there is no kernel to boot: /boot/loader/entries has no entry"
        );
        assert_eq!(
            parse("linux /a\n").unwrap_err().to_string(),
            "the entry has no `initrd`"
        );
    }
}
