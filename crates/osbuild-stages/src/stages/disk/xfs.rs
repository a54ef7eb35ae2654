//! Making an empty XFS file system, and moving it to its place.
//!
//! `mkfs.xfs` fills file systems from a list of files in a format that has no place for times, extended attributes
//! and names with blanks, and knows nothing of hard links: it would lose what this stage promises to keep. So XFS is
//! for what is empty at first, such as `/home` or `/srv`.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result, ensure};
use osbuild_stage_api::StageContext;

use super::options::FileSystem;
use crate::shared::filesystem::content::Content;
use crate::shared::filesystem::extent::Extent;
use crate::shared::filesystem::sparse_copy::copy_data;

/// The smallest that `mkfs.xfs` makes.
pub(super) const SIZE_MIN: u64 = 300 * 1024 * 1024;

/// Makes the file system in its place on the disk.
pub(super) fn make(
    context: &StageContext,
    disk: &File,
    extent: Extent,
    system: &FileSystem,
    content: Option<&Content>,
) -> Result<()> {
    let directory = tempfile::Builder::new()
        .prefix(".xfs-")
        .tempdir_in(context.tree())
        .context("making a directory")?;
    let path = directory.path().join("image");
    fs_err::File::create(&path)?.set_len(extent.length)?;
    let mut command =
        context
            .command("mkfs.xfs")
            .args(["-q", "-f", "-m", &format!("uuid={}", system.uuid)]);
    if let Some(label) = &system.label {
        command = command.args(["-L", label]);
    }
    if let Some(content) = content {
        let list = directory.path().join("content");
        fs_err::write(&list, top_directory(content)?)?;
        command = command.arg("-p").arg(list);
    }
    command.arg(&path).run()?;
    copy_data(&path, disk, extent)
}

/// The list of an empty directory: a boot program and two sizes that are ignored, then its type, mode and owner.
fn top_directory(content: &Content) -> Result<String> {
    ensure!(
        content.entries(&content.root)?.is_empty(),
        "{} has content, and `mkfs.xfs` can not fill a file system without losing attributes and hard links: \
         use ext4 or btrfs there",
        content.root.display()
    );
    let top = fs_err::metadata(&content.root)?;
    Ok(format!(
        "/dev/null\n0 0\nd--{:03o} {} {}\n$\n",
        top.mode() & 0o777,
        top.uid(),
        top.gid()
    ))
}
