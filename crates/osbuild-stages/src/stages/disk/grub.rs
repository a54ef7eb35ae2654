//! Installing GRUB for BIOS: a core image that finds the rest of GRUB by the file system's UUID.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use osbuild_stage_api::{StageContext, TreeRoot};

use super::options::{FileSystem, FileSystemKind, Grub, Options, TableKind};
use crate::shared::filesystem::extent::Extent;
use crate::shared::grub_bios;

/// Debian's name of the program, and Fedora's.
const MKIMAGE: [&str; 2] = ["grub-mkimage", "grub2-mkimage"];
const BIOS_BOOT: &str = "21686148-6449-6E6F-744E-656564454649";
/// GRUB's boot code counts in sectors of 512 bytes, as BIOS does.
const SECTOR: u64 = 512;

/// Makes the core image and installs it.
pub(super) fn install(
    context: &StageContext,
    disk: &File,
    tree: &TreeRoot,
    options: &Options,
    extents: &[Extent],
    grub: &Grub,
) -> Result<()> {
    ensure!(
        options.sector_size == SECTOR,
        "BIOS can not boot from a disk with sectors of {} bytes",
        options.sector_size
    );
    let room = room(options, extents)?;
    let directory = modules(tree, &grub.platform)?;
    let core = make_core(context, options, grub, &directory)?;
    ensure!(
        core.len() as u64 <= room.length,
        "GRUB's core image has {} bytes, but there is room for {}",
        core.len(),
        room.length
    );
    let location = room.start / SECTOR;
    grub_bios::write_core(disk, &core, location, SECTOR)?;
    let boot = fs_err::read(directory.join("boot.img"))?;
    grub_bios::write_boot_code(disk, &boot, location, SECTOR)?;
    grub_bios::check_the_drive(disk)
}

/// The BIOS boot partition of a GPT disk, or what lies between an MBR and the first partition.
fn room(options: &Options, extents: &[Extent]) -> Result<Extent> {
    if options.label == TableKind::Dos {
        let first = extents.first().map_or(0, |extent| extent.start);
        return Ok(Extent {
            start: SECTOR,
            length: first.saturating_sub(SECTOR),
        });
    }
    let is_bios_boot = |text: &str| text.eq_ignore_ascii_case(BIOS_BOOT);
    match options
        .partitions
        .iter()
        .position(|partition| is_bios_boot(&partition.r#type))
    {
        Some(index) => Ok(extents[index]),
        None => bail!(
            "GRUB for BIOS needs a BIOS boot partition on a GPT disk: one of type {BIOS_BOOT}"
        ),
    }
}

/// The tree's own modules fit those it loads later; the build root's are taken where the tree has none.
fn modules(tree: &TreeRoot, platform: &str) -> Result<PathBuf> {
    let path = format!("/usr/lib/grub/{platform}");
    if tree.is_file(format!("{path}/boot.img"))? {
        return tree.real_path(&path);
    }
    let path = PathBuf::from(path);
    ensure!(
        path.join("boot.img").is_file(),
        "GRUB for {platform} is neither in the tree nor in the build root: package `grub-pc-bin` (Debian) or \
         `grub2-pc-modules` (Fedora) brings it"
    );
    Ok(path)
}

fn make_core(
    context: &StageContext,
    options: &Options,
    grub: &Grub,
    modules: &Path,
) -> Result<Vec<u8>> {
    let (system, path) = home(options, &grub.path)?;
    let directory = tempfile::tempdir().context("making a temporary directory")?;
    let (core, early) = (
        directory.path().join("core.img"),
        directory.path().join("early.cfg"),
    );
    fs_err::write(
        &early,
        format!(
            "search.fs_uuid {} root\nset prefix=($root)'{path}'\n",
            system.uuid
        ),
    )?;
    let table = match options.label {
        TableKind::Gpt => "part_gpt",
        TableKind::Dos => "part_msdos",
    };
    let file_system = match system.r#type {
        FileSystemKind::Ext4 => "ext2",
        FileSystemKind::Btrfs => "btrfs",
        FileSystemKind::Xfs => "xfs",
        FileSystemKind::Fat => "fat",
        FileSystemKind::Swap => bail!("GRUB can not be loaded from swap"),
    };
    grub_bios::with_either_name(MKIMAGE, |program| {
        let command = context
            .command(program)
            .arg("--directory")
            .arg(modules)
            .arg("--config")
            .arg(&early);
        let command = command.args([
            "--prefix",
            &path,
            "--format",
            &grub.platform,
            "--compression",
            "auto",
            "--output",
        ]);
        command
            .arg(&core)
            .args(["biosdisk", table, file_system, "search_fs_uuid"])
            .run()
    })?;
    Ok(fs_err::read(core)?)
}

/// The file system that holds GRUB's directory, and where in it that is.
fn home<'a>(options: &'a Options, path: &str) -> Result<(&'a FileSystem, String)> {
    let systems = options
        .partitions
        .iter()
        .filter_map(|partition| partition.filesystem.as_ref());
    let below = |system: &'a FileSystem| {
        let rest = Path::new(path)
            .strip_prefix(system.mountpoint.as_deref()?)
            .ok()?;
        Some((system, rest.to_owned()))
    };
    let holder = systems
        .filter_map(below)
        .min_by_key(|(_, rest)| rest.components().count());
    let Some((system, rest)) = holder else {
        bail!("no file system of this disk holds `{path}`")
    };
    Ok((system, format!("/{}", rest.display())))
}
