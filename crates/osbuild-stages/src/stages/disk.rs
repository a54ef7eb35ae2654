//! Makes a disk image from a tree, with no help of the kernel: see `docs/decisions/0003-disk-images-without-mounts.md`.

mod btrfs;
mod ext4;
mod grub;
mod layout;
mod options;
mod swap;
mod table;
mod xfs;

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use osbuild_stage_api::{StageContext, StageModule, TreeRoot};
use rustix::fs::OFlags;
use serde_json::json;

use layout::{Geometry, Layout, Wanted};
use options::{FileSystem, FileSystemKind, Options, Partition};
use table::Table;

use crate::shared::filesystem::content::{Amount, Content};
use crate::shared::filesystem::extent::Extent;
use crate::shared::filesystem::fat;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.disk", include_str!("disk.meta.json"), run);

/// A partition's file system, what goes into it, and how much that is.
#[derive(Debug)]
struct Filling<'a> {
    system: &'a FileSystem,
    content: Option<Content>,
    amount: Amount,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let tree = TreeRoot::open(context.input("tree")?.path())?;
    let fillings = fillings(&options, &tree)?;
    let layout = lay_out(&options, &fillings)?;
    let disk = create(context, &options, layout.size)?;
    let image = context.tree_path()?.real_path(&options.filename)?;
    for (index, (filling, extent)) in fillings.iter().zip(&layout.partitions).enumerate() {
        let Some(filling) = filling else { continue };
        make(
            context,
            &disk,
            &image,
            *extent,
            options.sector_size,
            filling,
        )
        .with_context(|| format!("making the file system of partition {}", index + 1))?;
    }
    let Options {
        label, sector_size, ..
    } = options;
    let partitions = &options.partitions;
    table::write(
        &disk,
        Table {
            label,
            uuid: &options.uuid,
            sector_size,
            partitions,
            layout: &layout,
        },
    )?;
    if let Some(grub) = &options.grub {
        grub::install(context, &disk, &tree, &options, &layout.partitions, grub)
            .context("installing GRUB for BIOS")?;
    }
    report(context, &layout)
}

fn fillings<'a>(options: &'a Options, tree: &TreeRoot) -> Result<Vec<Option<Filling<'a>>>> {
    let systems = || {
        options
            .partitions
            .iter()
            .filter_map(|partition| partition.filesystem.as_ref())
    };
    let mountpoints: Vec<_> = systems()
        .filter_map(|system| system.mountpoint.as_deref())
        .collect();
    if let Some(twice) = mountpoints
        .iter()
        .enumerate()
        .find(|(index, path)| mountpoints[..*index].contains(path))
    {
        bail!("two file systems are to be mounted on `{}`", twice.1);
    }
    let fill = |partition: &'a Partition| {
        let Some(system) = &partition.filesystem else {
            return Ok(None);
        };
        let find = |mountpoint: &String| Content::find(tree, mountpoint, &mountpoints);
        let content = system.mountpoint.as_ref().map(find).transpose()?;
        let amount = content
            .as_ref()
            .map_or(Ok(Amount::default()), |content| content.amount(ext4::BLOCK))?;
        Ok(Some(Filling {
            system,
            content,
            amount,
        }))
    };
    options.partitions.iter().map(fill).collect()
}

fn lay_out(options: &Options, fillings: &[Option<Filling<'_>>]) -> Result<Layout> {
    let mut wanted = Vec::new();
    for (index, (partition, filling)) in options.partitions.iter().zip(fillings).enumerate() {
        ensure!(
            partition.free <= layout::SIZE_MAX,
            "partition {} is to have {} free bytes; {} are the most",
            index + 1,
            partition.free,
            layout::SIZE_MAX
        );
        let size = match (partition.size, filling) {
            (Some(size), _) => size,
            (None, Some(filling)) => fit(filling, partition.free)
                .with_context(|| format!("sizing partition {}", index + 1))?,
            (None, None) => bail!(
                "partition {} has neither a size nor a file system to size it by",
                index + 1
            ),
        };
        wanted.push(Wanted {
            size,
            is_growing: partition.grow,
        });
    }
    let Options {
        label,
        sector_size,
        alignment,
        size,
        ..
    } = *options;
    layout::place(
        Geometry {
            label,
            sector_size,
            alignment,
            size,
        },
        &wanted,
    )
}

fn fit(filling: &Filling<'_>, free: u64) -> Result<u64> {
    match (filling.system.r#type, &filling.content) {
        (FileSystemKind::Ext4, _) => Ok(ext4::size_for(filling.amount, free)),
        (FileSystemKind::Btrfs, _) => Ok(btrfs::size_for(filling.amount, free)),
        (FileSystemKind::Xfs, _) => Ok(xfs::SIZE_MIN + free),
        (FileSystemKind::Fat, Some(content)) => fat::fit(content, free),
        (FileSystemKind::Fat | FileSystemKind::Swap, _) => {
            bail!("it needs a size: it has no content to go by")
        }
    }
}

/// Creates the image, all hole.
fn create(context: &StageContext, options: &Options, size: u64) -> Result<File> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::TRUNC | OFlags::CLOEXEC;
    let disk = context
        .tree_path()?
        .open_file(&options.filename, flags, 0o666)?;
    disk.set_len(size)
        .with_context(|| format!("making {} {size} bytes long", options.filename))?;
    Ok(disk)
}

fn make(
    context: &StageContext,
    disk: &File,
    image: &Path,
    extent: Extent,
    sector_size: u64,
    filling: &Filling<'_>,
) -> Result<()> {
    let Filling { system, amount, .. } = filling;
    let content = filling.content.as_ref();
    match system.r#type {
        FileSystemKind::Ext4 => ext4::make(context, image, extent, system, content, *amount),
        FileSystemKind::Btrfs => btrfs::make(context, disk, extent, system, content),
        FileSystemKind::Xfs => xfs::make(context, disk, extent, system, content),
        FileSystemKind::Fat => fat::make(
            disk,
            extent,
            sector_size,
            fat::Identity {
                uuid: &system.uuid,
                label: system.label.as_deref(),
                width: system.fat_size,
            },
            content,
            context.source_epoch(),
        ),
        FileSystemKind::Swap => swap::write(disk, extent, system),
    }
}

/// Says where everything came to lie.
fn report(context: &StageContext, layout: &Layout) -> Result<()> {
    let partition = |extent: &Extent| json!({"start": extent.start, "size": extent.length});
    let partitions: Vec<_> = layout.partitions.iter().map(partition).collect();
    for (index, extent) in layout.partitions.iter().enumerate() {
        context.log(format_args!(
            "partition {}: {} bytes at {}",
            index + 1,
            extent.length,
            extent.start
        ));
    }
    context.write_metadata(&json!({"size": layout.size, "partitions": partitions}))
}

#[cfg(test)]
mod tests;
