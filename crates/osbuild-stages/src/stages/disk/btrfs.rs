//! Making a btrfs file system in a file of its own, filled by its own `mkfs.btrfs`, and moving it to its place.

use std::fs::File;

use anyhow::{Context, Result};
use osbuild_stage_api::StageContext;

use super::options::FileSystem;
use crate::shared::filesystem::content::{Amount, Content};
use crate::shared::filesystem::extent::Extent;
use crate::shared::filesystem::mask::Masks;
use crate::shared::filesystem::sparse_copy::copy_data;

const BLOCK: u64 = 4096;
/// The smallest that `mkfs.btrfs` makes, and room for the chunks that it allots before any data.
const SIZE_MIN: u64 = 256 * 1024 * 1024;
/// Metadata of an inode: the item itself, its name in both directions, its extents, all of it twice.
const METADATA_PER_INODE: u64 = 2048;

/// Says how large a file system must be for a content and some free bytes.
pub(super) fn size_for(amount: Amount, free: u64) -> u64 {
    let data = amount.blocks * BLOCK + free;
    SIZE_MIN + data + data / 16 + amount.inodes * METADATA_PER_INODE
}

/// Makes the file system in its place on the disk, and fills it.
pub(super) fn make(
    context: &StageContext,
    disk: &File,
    extent: Extent,
    system: &FileSystem,
    content: Option<&Content>,
) -> Result<()> {
    // `mkfs.btrfs` knows no offsets. The file is made next to the image, where there is room.
    let directory = tempfile::Builder::new()
        .prefix(".btrfs-")
        .tempdir_in(context.tree())
        .context("making a directory")?;
    let path = directory.path().join("image");
    fs_err::File::create(&path)?.set_len(extent.length)?;
    let mut command = context
        .command("mkfs.btrfs")
        .args(["-q", "-f", "-U", &system.uuid]);
    if let Some(label) = &system.label {
        command = command.args(["-L", label]);
    }
    command = command.args(["--byte-count", &extent.length.to_string()]);
    if let Some(content) = content {
        command = command.arg("--rootdir").arg(&content.root);
    }
    let masks = content.map(Masks::hide).transpose()?;
    command.arg(&path).run()?;
    masks.map_or(Ok(()), Masks::lift)?;
    copy_data(&path, disk, extent)
}
