//! Making a file system as its `mkfs` does by default, and filling it with a part of a tree.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use osbuild_stage_api::StageContext;
use serde::Deserialize;

use super::content::Content;
use super::ext4_inodes;
use super::extent::Extent;
use super::fat;
use super::loop_mount::LoopMount;
use super::mask::Masks;
use super::sparse_copy::copy_data;

/// What image formats and partition tables count in.
pub(crate) const SECTOR: u64 = 512;

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    #[default]
    Ext4,
    Xfs,
    Btrfs,
    Vfat,
}

/// A file system to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileSystem<'a> {
    pub(crate) kind: Kind,
    pub(crate) uuid: &'a str,
    pub(crate) label: Option<&'a str>,
}

impl Kind {
    /// Returns the name that manifests and `mount` have for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Vfat => "vfat",
        }
    }
}

/// Makes the file system in its place in the image, which has its size already, and fills it.
pub(crate) fn make(
    context: &StageContext,
    image: &Path,
    extent: Extent,
    system: FileSystem<'_>,
    content: &Content,
) -> Result<()> {
    let masks = Masks::hide(content)?;
    let making = Making {
        context,
        image,
        extent,
        system,
        content,
    };
    match system.kind {
        Kind::Ext4 => making.ext4(),
        Kind::Xfs => making.xfs(),
        Kind::Btrfs => making.btrfs(),
        Kind::Vfat => making.fat(),
    }?;
    masks.lift()
}

/// What [`make`] was asked for.
struct Making<'a> {
    context: &'a StageContext,
    image: &'a Path,
    extent: Extent,
    system: FileSystem<'a>,
    content: &'a Content,
}

impl Making<'_> {
    fn ext4(&self) -> Result<()> {
        // Nothing is left for the first mount to zero: it is zero.
        let extended = format!(
            "offset={},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0",
            self.extent.start
        );
        self.context
            .command("mkfs.ext4")
            .args(["-q", "-F", "-U", self.system.uuid])
            .args(labelled("-L", self.system.label))
            .args(["-E", &extended])
            .arg("-d")
            .arg(&self.content.root)
            .arg(self.image)
            .arg(format!("{}k", self.extent.length / 1024))
            .run()?;
        let disk = open(self.image)?;
        ext4_inodes::finish(
            &disk,
            self.extent.start,
            Some(&self.content.root),
            self.context.source_epoch(),
        )
        .with_context(|| format!("finishing the ext4 file system at {}", self.extent.start))
    }

    fn btrfs(&self) -> Result<()> {
        in_own_file(self.image, self.extent, |file| {
            self.context
                .command("mkfs.btrfs")
                .args(["-q", "-f", "-U", self.system.uuid])
                .args(labelled("-L", self.system.label))
                .args(["--byte-count", &self.extent.length.to_string()])
                .arg("--rootdir")
                .arg(&self.content.root)
                .arg(file)
                .run()
        })
    }

    /// `mkfs.xfs` fills file systems from a list that has no place for times, extended attributes and hard links. So
    /// this one is filled through the kernel.
    fn xfs(&self) -> Result<()> {
        in_own_file(self.image, self.extent, |file| {
            self.context
                .command("mkfs.xfs")
                .args(["-q", "-f", "-m", &format!("uuid={}", self.system.uuid)])
                .args(labelled("-L", self.system.label))
                .arg(file)
                .run()
        })?;
        let directory = tempfile::tempdir().context("making a temporary directory")?;
        let mounted =
            LoopMount::new(self.image, self.extent, self.system.kind, directory.path())
                .context("mounting the new XFS file system, which only the kernel can fill")?;
        self.context
            .command("cp")
            .arg("-a")
            .arg(self.content.root.join("."))
            .arg(directory.path())
            .run()?;
        mounted.finish()
    }

    fn fat(&self) -> Result<()> {
        let identity = fat::Identity {
            uuid: self.system.uuid,
            label: self.system.label,
            width: None,
        };
        let disk = open(self.image)?;
        fat::make(
            &disk,
            self.extent,
            SECTOR,
            identity,
            Some(self.content),
            self.context.source_epoch(),
        )
    }
}

/// Lets a program that knows no offsets work on a file, next to the image, where there is room.
fn in_own_file(image: &Path, extent: Extent, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let disk = open(image)?;
    let whole = Extent {
        start: 0,
        length: disk.metadata()?.len(),
    };
    if extent == whole {
        return make(image);
    }
    let directory = image.parent().context("an image is in a directory")?;
    let directory = tempfile::Builder::new()
        .prefix(".filesystem-")
        .tempdir_in(directory)
        .context("making a directory")?;
    let path = directory.path().join("image");
    fs_err::File::create(&path)?.set_len(extent.length)?;
    make(&path)?;
    copy_data(&path, &disk, extent)
}

fn labelled<'a>(option: &'a str, label: Option<&'a str>) -> Vec<&'a str> {
    match label {
        Some(label) if !label.is_empty() => vec![option, label],
        _ => Vec::new(),
    }
}

fn open(image: &Path) -> Result<File> {
    let file = fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .open(image)?;
    Ok(file.into())
}
