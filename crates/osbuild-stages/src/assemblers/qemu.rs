//! Makes a bootable disk image of the tree.
//!
//! Its `sfdisk` places the partitions, its `mkfs` programs fill the file systems, GRUB is installed by writing bytes. So no
//! loop device and no mount is needed, but for XFS and zipl: see `docs/decisions/0003-disk-images-without-mounts.md`.

mod convert;
mod grub;
mod options;
mod table;
mod zipl;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use osbuild_stage_api::{StageContext, StageError, StageModule, TreeRoot};
use rustix::fs::OFlags;
use serde_json::Value;

use options::{Format, Options, TableKind};
use table::Table;

use crate::shared::filesystem::complete_tree::CompleteTree;
use crate::shared::filesystem::content::Content;
use crate::shared::filesystem::filled::{self, FileSystem, SECTOR};

pub(crate) const ASSEMBLER: StageModule =
    StageModule::new::<Options>("org.osbuild.qemu", include_str!("qemu.meta.json"), run);

/// The boot loader to install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bootloader<'a> {
    None,
    Grub { platform: &'a str },
    Zipl,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    ensure!(
        options.size.is_multiple_of(SECTOR),
        "`size` must be a multiple of sector size (512)"
    );
    let kind = options.pttype.unwrap_or(TableKind::Dos);
    let bootloader = bootloader(&options, kind)?;
    let target = create(context, &options.filename)?;
    // Next to the image, where there is room.
    let directory = tempfile::Builder::new()
        .prefix(".image-")
        .tempdir_in(context.tree())
        .context("making a directory")?;
    let image = match options.format {
        Format::Raw => target.clone(),
        _ => directory.path().join("disk.raw"),
    };
    set_size(&image, options.size)?;
    let partitions = table::partitions(&options)?;
    let table = table::write(context, &image, kind, &options.ptuuid, &partitions)?;
    if let Bootloader::Grub { platform } = bootloader {
        grub::install(context, &image, &table, platform).context("installing GRUB")?;
    }
    let tree = context.input("tree")?.path();
    fill(context, &image, &table, tree)?;
    if bootloader == Bootloader::Zipl {
        zipl::install(
            context,
            &image,
            options.size,
            &table,
            &TreeRoot::open(tree)?,
        )
        .context("installing zipl")?;
    }
    convert::convert(context, &options, &image, &target)
}

/// A disk with an MBR gets GRUB unless the manifest asks for something else.
fn bootloader(options: &Options, table: TableKind) -> Result<Bootloader<'_>> {
    let platform = options
        .bootloader
        .as_ref()
        .and_then(|bootloader| bootloader.get("platform"));
    let platform = match platform {
        None => grub::BIOS,
        Some(Value::String(platform)) => platform,
        Some(other) => bail!("`{other}` is no platform of GRUB"),
    };
    let grub = Bootloader::Grub { platform };
    let Some(bootloader) = &options.bootloader else {
        return Ok(match table {
            TableKind::Dos => grub,
            TableKind::Gpt => Bootloader::None,
        });
    };
    match bootloader.get("type").and_then(Value::as_str) {
        Some("grub2") => Ok(grub),
        Some("zipl") => Ok(Bootloader::Zipl),
        _ => Err(StageError::new("KeyError", "'type'").into()),
    }
}

/// Creates the file of the result, empty.
fn create(context: &StageContext, name: &str) -> Result<PathBuf> {
    let output = context.tree_path()?;
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC;
    drop(output.open_file(name, flags, 0o666)?);
    output.real_path(name)
}

/// Makes the image a hole of this size.
fn set_size(image: &Path, size: u64) -> Result<()> {
    let file = fs_err::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(image)?;
    file.set_len(size)?;
    Ok(())
}

fn fill(context: &StageContext, image: &Path, table: &Table, tree: &Path) -> Result<()> {
    let mounted = table.mounted();
    let mountpoints: Vec<_> = mounted
        .iter()
        .map(|(_, system)| system.mountpoint.as_str())
        .collect();
    for (index, mountpoint) in mountpoints.iter().enumerate() {
        ensure!(
            !mountpoints[..index].contains(mountpoint),
            "two file systems are to be mounted on `{mountpoint}`"
        );
    }
    let complete = CompleteTree::new(tree, &mountpoints)?;
    let root = TreeRoot::open(complete.path())?;
    for (partition, system) in mounted {
        let content = Content::find(&root, &system.mountpoint, &mountpoints)?;
        let described = FileSystem {
            kind: system.r#type,
            uuid: &system.uuid,
            label: system.label.as_deref(),
        };
        filled::make(context, image, partition.extent, described, &content)
            .with_context(|| format!("making the file system of partition {}", partition.number))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
