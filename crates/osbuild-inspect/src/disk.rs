//! Reads a disk image: its partitions, and the file systems in them.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use osbuild_host_modules::devices;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::file_system::{self, Extent, FileSystem};
use crate::subject::Digests;
use crate::tree::Tree;

/// Partition tables of image files count in these, unless the image was made for disks with larger sectors.
const SECTOR: u64 = 512;

/// Where QEMU looks for the description of a VMDK, in bytes.
const DESCRIPTION_START: usize = 0x200;
const DESCRIPTION_END: u64 = 0x200 + 20 * SECTOR;

/// One partition, or the whole image when it has no partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number in the table, from 1; 0 for an image that is one file system.
    pub number: u32,
    /// Its name in a GPT.
    pub name: Option<String>,
    /// Its type: a GUID, or the number of an MBR entry in hexadecimal.
    pub kind: Option<String>,
    /// Its GUID in a GPT.
    pub uuid: Option<String>,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// What is in it.
    pub file_system: Option<FileSystem>,
    /// SHA-256 of the bytes, where no tree could be read and a comparison needs it.
    pub digest: Option<[u8; 32]>,
}

/// An image in raw form: itself, or a temporary copy that was converted.
pub(crate) struct RawImage {
    path: PathBuf,
    /// Without a name, for nothing to be left behind.
    converted: Option<File>,
}

impl RawImage {
    /// Converts the image unless it is raw.
    ///
    /// # Errors
    /// It can not be read, or is damaged; `qemu-img` is missing for a format other than raw.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut start = Vec::new();
        let file = fs_err::File::open(path)?;
        file.take(DESCRIPTION_END).read_to_end(&mut start)?;
        let Some(format) = format_of(&start) else {
            return Ok(Self {
                path: path.to_owned(),
                converted: None,
            });
        };
        if let Some(other) = other_file(format, &start) {
            bail!(
                "{}: the image stands on another file ({other}), which is not read: an image must not choose what \
                 is; copy it into one file with `qemu-img convert`",
                path.display()
            );
        }
        let converted = to_raw(path, format)?;
        Ok(Self {
            path: path_of(&converted),
            converted: Some(converted),
        })
    }

    /// Where the raw image is, as long as this lives.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Tells whether the image is in a format other than raw.
    pub(crate) fn is_converted(&self) -> bool {
        self.converted.is_some()
    }
}

/// Reads the partitions of an image in any format that qemu-img knows.
///
/// # Errors
/// It can not be read, or is damaged; `qemu-img` is missing for a format other than raw.
pub(crate) fn read(path: &Path, digests: Digests) -> Result<Vec<Partition>> {
    let image = RawImage::open(path)?;
    read_raw(fs_err::File::open(image.path())?, digests)
}

/// Tells apart what begins with a magic number of its own, by qemu-img's names; none for raw images.
fn format_of(start: &[u8]) -> Option<&'static str> {
    let formats: [(&[u8], &str); 6] = [
        (b"QFI\xfb\0\0\0\x01", "qcow"),
        (b"QFI\xfb", "qcow2"),
        (b"KDMV", "vmdk"),
        (b"vhdxfile", "vhdx"),
        (b"<<< ", "vdi"),
        (b"conectix", "vpc"),
    ];
    let known = formats.iter().find(|(magic, _)| start.starts_with(magic));
    known.map(|(_, format)| *format)
}

/// How qemu-img would come to read another file for an image; none if it would not.
///
/// The formats are those of QEMU's `docs/interop/qcow2.txt` and of its VMDK driver.
fn other_file(format: &str, start: &[u8]) -> Option<&'static str> {
    let is_zero = |range: std::ops::Range<usize>| {
        let bytes = start.get(range);
        bytes.is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
    };
    match format {
        "qcow" | "qcow2" if !is_zero(8..16) => Some("a backing file"),
        // Bit 2 of the incompatible features, which version 2 has not.
        "qcow2" if start.get(4..8) != Some(&[0, 0, 0, 2]) => {
            let features = start.get(79)?;
            (features & 4 != 0).then_some("an external data file")
        }
        "vmdk" if is_zero(12..20) => Some("extents that its description names"),
        "vmdk" => {
            let description = start.get(DESCRIPTION_START..)?;
            let key = b"parentFileNameHint";
            let has_parent = description.windows(key.len()).any(|bytes| bytes == key);
            has_parent.then_some("a parent")
        }
        _ => None,
    }
}

/// Where a file without a name can be opened, also by the programs that this one starts.
fn path_of(file: &File) -> PathBuf {
    PathBuf::from(format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        file.as_raw_fd()
    ))
}

fn to_raw(path: &Path, format: &str) -> Result<File> {
    let target = tempfile::tempfile().context("making a temporary file for the raw image")?;
    let result = Command::new("qemu-img")
        .args(["convert", "-f", format, "-O", "raw"])
        .args([&std::path::absolute(path)?, &path_of(&target)])
        .stdin(Stdio::null())
        .output()
        .context("starting qemu-img, which reads formats other than raw (package qemu-utils or qemu-img)")?;
    if !result.status.success() {
        bail!(
            "qemu-img convert: {}",
            String::from_utf8_lossy(&result.stderr).trim()
        );
    }
    Ok(target)
}

fn read_raw(mut file: fs_err::File, digests: Digests) -> Result<Vec<Partition>> {
    let size = file.seek(SeekFrom::End(0))?;
    let file = Arc::new(file);
    let whole = Extent {
        file: Arc::clone(&file),
        start: 0,
        size,
    };
    // The first sector of a FAT looks like that of a disk with partitions, so a file system is looked for first.
    let is_file_system = file_system::recognize(&whole).is_some();
    let mut partitions = if is_file_system {
        Vec::new()
    } else {
        table(&file, size)?
    };
    if partitions.is_empty() {
        partitions.push(Partition {
            number: 0,
            name: None,
            kind: None,
            uuid: None,
            start: 0,
            size,
            file_system: None,
            digest: None,
        });
    }
    partitions.par_iter_mut().try_for_each(|partition| {
        let extent = Extent {
            file: Arc::clone(&file),
            start: partition.start,
            size: partition.size,
        };
        let number = partition.number;
        partition.file_system =
            file_system::read(&extent).with_context(|| format!("partition {number}"))?;
        let is_read = matches!(
            &partition.file_system,
            Some(FileSystem { tree: Some(_), .. })
        );
        if !is_read && digests == Digests::Wanted {
            partition.digest =
                Some(digest(&extent).with_context(|| format!("partition {number}"))?);
        }
        anyhow::Ok(())
    })?;
    Ok(partitions)
}

fn digest(extent: &Extent) -> Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < extent.size {
        let length = (extent.size - offset).min(buffer.len() as u64);
        let part = &mut buffer[..length as usize];
        extent.read_exact_at(part, offset)?;
        hasher.update(part);
        offset += length;
    }
    Ok(hasher.finalize().into())
}

fn table(file: &fs_err::File, size: u64) -> Result<Vec<Partition>> {
    let disk = devices::Extent { start: 0, size };
    let extents = devices::read_partitions(file, disk, SECTOR)?;
    let mut reader = file.file();
    reader.seek(SeekFrom::Start(0))?;
    let gpt = gptman::GPT::read_from(&mut reader, SECTOR).ok();
    Ok(extents
        .into_iter()
        .map(|(number, devices::Extent { start, size })| {
            let entry = gpt.as_ref().map(|gpt| &gpt[number]);
            Partition {
                number,
                name: entry
                    .map(|entry| entry.partition_name.as_str().to_owned())
                    .filter(|name| !name.is_empty()),
                kind: entry.map(|entry| guid(entry.partition_type_guid)),
                uuid: entry.map(|entry| guid(entry.unique_partition_guid)),
                start,
                size,
                file_system: None,
                digest: None,
            }
        })
        .collect())
}

/// Writes a GUID the way UEFI stores it: the first three groups have their low byte first.
fn guid(bytes: [u8; 16]) -> String {
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut text = String::new();
    for (position, index) in order.into_iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{:02x}", bytes[index]));
    }
    text
}

/// Puts the trees of all partitions together as the system would mount them, by its own `/etc/fstab`; what it does
/// not mount stands below `partition N/`.
pub(crate) fn mounted(partitions: &mut [Partition]) -> Tree {
    let has_system = |partition: &Partition| {
        let tree = partition
            .file_system
            .as_ref()
            .and_then(|fs| fs.tree.as_ref());
        tree.is_some_and(|tree| tree.entries.contains_key(Path::new("usr")))
    };
    let root = partitions.iter().position(has_system);
    let mut whole = root
        .and_then(|root| take_tree(&mut partitions[root]))
        .unwrap_or_default();
    let fstab = whole.text("etc/fstab").unwrap_or_default();
    for partition in partitions {
        let place = mount_point(&fstab, partition);
        if let Some(tree) = take_tree(partition) {
            whole.graft(&place, tree);
        }
    }
    whole
}

fn take_tree(partition: &mut Partition) -> Option<Tree> {
    partition.file_system.as_mut()?.tree.take()
}

fn mount_point(fstab: &str, partition: &Partition) -> PathBuf {
    let file_system = partition.file_system.as_ref();
    let names = [
        file_system
            .and_then(|fs| fs.uuid.as_ref())
            .map(|uuid| format!("UUID={uuid}")),
        file_system
            .and_then(|fs| fs.label.as_ref())
            .map(|label| format!("LABEL={label}")),
        partition
            .uuid
            .as_ref()
            .map(|uuid| format!("PARTUUID={uuid}")),
        partition
            .name
            .as_ref()
            .map(|name| format!("PARTLABEL={name}")),
    ];
    let lines = fstab
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let mounted = lines.filter_map(|line| {
        let mut fields = line.split_whitespace();
        Some((fields.next()?, fields.next()?))
    });
    for (source, target) in mounted {
        let is_this = names
            .iter()
            .flatten()
            .any(|name| name.eq_ignore_ascii_case(source));
        if is_this && target.starts_with('/') {
            return PathBuf::from(target.trim_start_matches('/'));
        }
    }
    PathBuf::from(format!("partition {}", partition.number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_other_than_raw_are_told_by_their_first_bytes() {
        for raw in [&b"\xebc\x90\0\0\0\0\0"[..], b""] {
            assert_eq!(format_of(raw), None);
        }
        for (magic, format) in [
            (&b"QFI\xfb\0\0\0\x03"[..], "qcow2"),
            (b"QFI\xfb\0\0\0\x01", "qcow"),
            (b"KDMV\x01\0\0\0", "vmdk"),
            (b"vhdxfile", "vhdx"),
            (b"<<< Orac", "vdi"),
        ] {
            assert_eq!(format_of(magic), Some(format));
        }
    }

    #[test]
    fn guids_read_as_tables_print_them() {
        let esp = [
            0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e,
            0xc9, 0x3b,
        ];
        assert_eq!(guid(esp), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
    }
}
