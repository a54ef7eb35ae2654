//! Reads file systems of a disk image without mounting them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use ext4_view::{Ext4, Ext4Read};

use crate::tree::{Entry, S_IFDIR, S_IFREG, Tree, read_content};

/// What a FAT has no bits for: the kernel shows everything so by default (`vfat`, umask 022).
const FAT_FILE: u32 = S_IFREG | 0o755;
const FAT_DIRECTORY: u32 = S_IFDIR | 0o755;

/// A range of bytes of an image, read only.
#[derive(Clone)]
pub(crate) struct Extent {
    pub(crate) file: Arc<fs_err::File>,
    pub(crate) start: u64,
    pub(crate) size: u64,
}

impl Extent {
    /// Fills the buffer from an offset within the extent.
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.file().read_exact_at(buffer, self.start + offset)
    }

    fn bytes<const N: usize>(&self, offset: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    }
}

/// A file system that was recognized, and its content as far as it can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSystem {
    /// Its name as `blkid` has it.
    pub kind: &'static str,
    /// Its UUID, or the serial number of a FAT.
    pub uuid: Option<String>,
    /// Its label.
    pub label: Option<String>,
    /// Its content; none for kinds that are only recognized.
    pub tree: Option<Tree>,
}

/// Reads what is in the extent, if it is a file system.
///
/// # Errors
/// It is of a kind that can be read, and damaged.
pub(crate) fn read(extent: &Extent) -> Result<Option<FileSystem>> {
    let read = match recognize(extent) {
        None => return Ok(None),
        Some("ext4") => read_ext(extent).context("reading an ext file system")?,
        Some("vfat") => read_fat(extent).context("reading a FAT")?,
        Some(kind) => FileSystem {
            kind,
            ..FileSystem::default()
        },
    };
    Ok(Some(read))
}

/// Tells the kind of file system by the magic numbers that blkid(8) goes by.
pub(crate) fn recognize(extent: &Extent) -> Option<&'static str> {
    if extent.bytes(0x438) == Some([0x53, 0xef]) {
        return Some("ext4");
    }
    let is_fat = |offset| extent.bytes::<3>(offset) == Some(*b"FAT");
    if extent.bytes(510) == Some([0x55, 0xaa]) && (is_fat(0x36) || is_fat(0x52)) {
        return Some("vfat");
    }
    let only_recognized = [
        (0, &b"XFSB"[..], "xfs"),
        (0x1_0040, b"_BHRfS_M", "btrfs"),
        (0, b"hsqs", "squashfs"),
        (0x400, &[0xe2, 0xe1, 0xf5, 0xe0], "erofs"),
        (4086, b"SWAPSPACE2", "swap"),
        (0, b"LUKS\xba\xbe", "crypto_LUKS"),
        (0x218, b"LVM2 001", "LVM2_member"),
    ];
    let found = only_recognized.into_iter().find(|(offset, magic, _)| {
        let mut bytes = vec![0; magic.len()];
        extent.read_exact_at(&mut bytes, *offset).is_ok() && bytes == *magic
    });
    found.map(|(_, _, kind)| kind)
}

impl Ext4Read for Extent {
    fn read(
        &mut self,
        start_byte: u64,
        dst: &mut [u8],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> {
        Ok(self.read_exact_at(dst, start_byte)?)
    }
}

fn read_ext(extent: &Extent) -> Result<FileSystem> {
    let file_system = Ext4::load(Box::new(extent.clone()))?;
    let mut tree = Tree::default();
    let mut open = vec![PathBuf::from("/")];
    let root = file_system.metadata("/")?;
    tree.entries.insert(PathBuf::new(), ext_entry(&root));
    while let Some(directory) = open.pop() {
        let listed = file_system.read_dir(directory.as_os_str().as_bytes())?;
        for member in listed {
            let member = member?;
            let name = member.file_name();
            if matches!(name.as_ref(), b"." | b"..") {
                continue;
            }
            let path = directory.join(OsStr::from_bytes(name.as_ref()));
            let metadata = member.metadata()?;
            let mut entry = ext_entry(&metadata);
            let relative = path.strip_prefix("/").unwrap_or(&path).to_owned();
            if metadata.is_symlink() {
                let target = file_system.read_link(path.as_os_str().as_bytes())?;
                entry.target = Some(PathBuf::from(OsStr::from_bytes(target.as_ref())));
            } else if metadata.is_dir() {
                open.push(path);
            } else if entry.is_file() {
                let file = file_system.open(path.as_os_str().as_bytes())?;
                let (digest, content) = read_content(&relative, entry.size, file)?;
                entry.digest = Some(digest);
                if let Some(content) = content {
                    tree.contents.insert(relative.clone(), content);
                }
            }
            tree.entries.insert(relative, entry);
        }
    }
    Ok(FileSystem {
        kind: "ext4",
        uuid: Some(file_system.uuid().to_string()),
        label: label(&file_system.label().display().to_string()),
        tree: Some(tree),
    })
}

/// Extended attributes and device numbers stay unknown: the library does not read them.
fn ext_entry(metadata: &ext4_view::Metadata) -> Entry {
    use crate::tree::{S_IFBLK, S_IFCHR, S_IFIFO, S_IFLNK, S_IFSOCK};
    let kind = metadata.file_type();
    let kind = if kind.is_dir() {
        S_IFDIR
    } else if kind.is_symlink() {
        S_IFLNK
    } else if kind.is_block_dev() {
        S_IFBLK
    } else if kind.is_char_dev() {
        S_IFCHR
    } else if kind.is_fifo() {
        S_IFIFO
    } else if kind.is_socket() {
        S_IFSOCK
    } else {
        S_IFREG
    };
    Entry {
        mode: kind | (u32::from(metadata.mode()) & 0o7777),
        uid: metadata.uid(),
        gid: metadata.gid(),
        size: metadata.len(),
        attributes: BTreeMap::new(),
        ..Entry::default()
    }
}

fn label(text: &str) -> Option<String> {
    let text = text.trim_end();
    (!text.is_empty() && text != "NO NAME").then(|| text.to_owned())
}

/// An extent with a position. Writing is refused: fatfs asks for it even to read.
struct Cursor {
    extent: Extent,
    position: u64,
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.extent.size.saturating_sub(self.position);
        let length = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        self.extent
            .read_exact_at(&mut buffer[..length], self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}

impl Write for Cursor {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.extent.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

fn read_fat(extent: &Extent) -> Result<FileSystem> {
    let cursor = Cursor {
        extent: extent.clone(),
        position: 0,
    };
    let file_system = fatfs::FileSystem::new(cursor, fatfs::FsOptions::new())?;
    let mut tree = Tree::default();
    tree.entries
        .insert(PathBuf::new(), fat_entry(FAT_DIRECTORY, 0));
    read_fat_directory(&file_system.root_dir(), Path::new(""), &mut tree)?;
    let serial = file_system.volume_id();
    Ok(FileSystem {
        kind: "vfat",
        uuid: Some(format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff)),
        label: label(&file_system.volume_label()),
        tree: Some(tree),
    })
}

fn read_fat_directory(
    directory: &fatfs::Dir<'_, Cursor>,
    path: &Path,
    tree: &mut Tree,
) -> Result<()> {
    /// Deeper than any path that the kernel would open; a damaged table can hold a circle.
    const DEEPEST: usize = 128;
    anyhow::ensure!(
        path.components().count() < DEEPEST,
        "folders are nested too deep"
    );
    for member in directory.iter() {
        let member = member?;
        let name = member.file_name();
        if name == "." || name == ".." {
            continue;
        }
        let path = path.join(&name);
        if member.is_dir() {
            tree.entries
                .insert(path.clone(), fat_entry(FAT_DIRECTORY, 0));
            read_fat_directory(&member.to_dir(), &path, tree)?;
        } else {
            let mut entry = fat_entry(FAT_FILE, member.len());
            let (digest, content) = read_content(&path, entry.size, member.to_file())?;
            entry.digest = Some(digest);
            if let Some(content) = content {
                tree.contents.insert(path.clone(), content);
            }
            tree.entries.insert(path, entry);
        }
    }
    Ok(())
}

fn fat_entry(mode: u32, size: u64) -> Entry {
    Entry {
        mode,
        size,
        ..Entry::default()
    }
}
