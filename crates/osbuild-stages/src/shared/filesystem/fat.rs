//! Making a FAT file system and filling it, without the kernel or any tool: the EFI system partition is one.
//!
//! ```text
//! reserved sectors   boot sector; FAT32: information sector, copies of both at sector 6
//! two tables         one entry per cluster: the next cluster of the same file
//! root directory     FAT12 and FAT16 only; FAT32 has it in clusters
//! clusters           numbered from 2: directories and files
//! ```
//!
//! Everything is laid out before anything is written, in the order of sorted names, so equal content gives equal
//! bytes. See Microsoft's "FAT: General Overview of On-Disk Format", 1.03.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::content::Content;
use super::extent::Extent;
use super::fat_geometry::{DIRECTORY_ENTRY, FatGeometry, ROOT_ENTRIES, Width};
use super::fat_names::{self, Names};
use super::fat_time::Stamp;

const ATTRIBUTE_DIRECTORY: u8 = 0x10;
const ATTRIBUTE_ARCHIVE: u8 = 0x20;
const ATTRIBUTE_VOLUME: u8 = 0x08;
const ATTRIBUTE_LONG_NAME: u8 = 0x0f;
const LABEL_LENGTH: usize = 11;
/// The largest file, a limit of the directory entry.
const FILE_MAX: u64 = u32::MAX as u64;
const PIECE: usize = 1024 * 1024;

/// What a file system is called, and its kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity<'a> {
    /// The serial number: eight hexadecimal digits, with or without a dash.
    pub(crate) uuid: &'a str,
    pub(crate) label: Option<&'a str>,
    /// Bits of a table entry: 12, 16 or 32; chosen by the size if absent.
    pub(crate) width: Option<u8>,
}

/// A file or directory on its way into the file system.
#[derive(Debug)]
struct Node {
    /// The directory entries of its name: long name parts, then the short one without cluster and size.
    short: [u8; 11],
    long: Option<Vec<u16>>,
    stamp: Stamp,
    kind: Kind,
    /// First cluster and how many; none of an empty file.
    cluster: u32,
    clusters: u32,
}

#[derive(Debug)]
enum Kind {
    File { source: PathBuf, length: u64 },
    Directory(Vec<Node>),
}

/// Says how large a file system must be for a content and some free bytes.
pub(crate) fn fit(content: &Content, free: u64) -> Result<u64> {
    let nodes = read(content, &content.root, None)?;
    Ok(FatGeometry::size_for(content_bytes(&nodes) + free))
}

/// Makes the file system in its place on the disk, and fills it.
pub(crate) fn make(
    disk: &File,
    extent: Extent,
    sector_size: u64,
    identity: Identity<'_>,
    content: Option<&Content>,
    epoch: Option<i64>,
) -> Result<()> {
    let serial = serial(identity.uuid)?;
    let label = identity.label.map(label).transpose()?;
    let geometry = FatGeometry::choose(extent, sector_size, identity.width)?;
    let nodes = content.map_or(Ok(Vec::new()), |content| {
        read(content, &content.root, epoch)
    })?;
    let stamp = Stamp::at(epoch.unwrap_or(0));
    let mut writer = Writer {
        disk,
        geometry,
        table: vec![geometry.media_entry(), geometry.end_of_chain()],
    };
    let mut root = Node {
        short: [b' '; 11],
        long: None,
        stamp,
        kind: Kind::Directory(nodes),
        cluster: 0,
        clusters: 0,
    };
    writer.place_root(&mut root, label.is_some())?;
    writer.write_root(&root, label)?;
    writer.write_tables()?;
    writer.write_reserved(serial, label)
}

/// The serial number, spelled `7B7795E7` or, as in fstab, `7B77-95E7`.
fn serial(uuid: &str) -> Result<u32> {
    let digits = uuid.replace('-', "");
    ensure!(
        digits.len() == 8,
        "a FAT serial number has eight digits, unlike `{uuid}`"
    );
    u32::from_str_radix(&digits, 16).with_context(|| format!("`{uuid}` is no FAT serial number"))
}

fn label(text: &str) -> Result<[u8; LABEL_LENGTH]> {
    let upper = text.to_ascii_uppercase();
    let is_valid = |byte: u8| byte == b' ' || fat_names::is_short_byte(byte);
    ensure!(
        upper.len() <= LABEL_LENGTH && upper.bytes().all(is_valid),
        "`{text}` can not be the label of a FAT"
    );
    let mut label = [b' '; LABEL_LENGTH];
    label[..upper.len()].copy_from_slice(upper.as_bytes());
    Ok(label)
}

/// Reads a directory of the tree; FAT knows files and directories alone.
fn read(content: &Content, directory: &Path, epoch: Option<i64>) -> Result<Vec<Node>> {
    let mut names = Names::default();
    let mut nodes = Vec::new();
    for (name, metadata, path) in content.entries(directory)? {
        let kind = if metadata.is_dir() {
            Kind::Directory(read(content, &path, epoch)?)
        } else if metadata.is_file() {
            ensure!(
                metadata.len() <= FILE_MAX,
                "{} is too large for FAT",
                path.display()
            );
            Kind::File {
                length: metadata.len(),
                source: path.clone(),
            }
        } else {
            bail!(
                "{} is neither a file nor a directory: FAT can not hold it",
                path.display()
            );
        };
        let (short, long) = names
            .add(&name)
            .with_context(|| format!("naming {} in FAT", path.display()))?;
        nodes.push(Node {
            short,
            long,
            stamp: stamp(&metadata, epoch),
            kind,
            cluster: 0,
            clusters: 0,
        });
    }
    Ok(nodes)
}

fn stamp(metadata: &Metadata, epoch: Option<i64>) -> Stamp {
    let modified = std::os::unix::fs::MetadataExt::mtime(metadata);
    Stamp::at(epoch.map_or(modified, |epoch| modified.min(epoch)))
}

/// Counts bytes generously: each entry rounded up to the cluster that [`FatGeometry::size_for`] assumes.
fn content_bytes(nodes: &[Node]) -> u64 {
    let round = |length: u64| length.next_multiple_of(FatGeometry::CLUSTER_MAX_SMALL);
    nodes.iter().fold(0, |sum, node| {
        sum + match &node.kind {
            Kind::File { length, .. } => round(*length),
            Kind::Directory(nodes) => round(directory_length(nodes, 2)) + content_bytes(nodes),
        }
    })
}

fn directory_length(nodes: &[Node], others: u64) -> u64 {
    nodes
        .iter()
        .map(Node::entries)
        .sum::<u64>()
        .saturating_add(others)
        * DIRECTORY_ENTRY
}

impl Node {
    /// Directory entries its name takes.
    fn entries(&self) -> u64 {
        1 + self
            .long
            .as_ref()
            .map_or(0, |long| fat_names::long_entries(long) as u64)
    }
}

#[derive(Debug)]
struct Writer<'a> {
    disk: &'a File,
    geometry: FatGeometry,
    table: Vec<u32>,
}

impl Writer<'_> {
    fn place_root(&mut self, root: &mut Node, has_label: bool) -> Result<()> {
        let Kind::Directory(nodes) = &mut root.kind else {
            unreachable!("the top is a directory")
        };
        let length = directory_length(nodes, u64::from(has_label));
        if self.geometry.width == Width::Fat32 {
            (root.cluster, root.clusters) = self.allocate(length.max(1))?;
        } else {
            ensure!(
                length <= ROOT_ENTRIES * DIRECTORY_ENTRY,
                "the top directory has too many entries for this FAT"
            );
        }
        self.place(nodes)
    }

    fn place(&mut self, nodes: &mut [Node]) -> Result<()> {
        for node in nodes {
            let length = match &node.kind {
                Kind::File { length, .. } => *length,
                Kind::Directory(nodes) => directory_length(nodes, 2),
            };
            (node.cluster, node.clusters) = self.allocate(length)?;
            if let Kind::Directory(nodes) = &mut node.kind {
                self.place(nodes)?;
            }
        }
        Ok(())
    }

    /// Takes the next clusters, one after the other, and chains them; an empty file has none.
    fn allocate(&mut self, length: u64) -> Result<(u32, u32)> {
        let count = length.div_ceil(self.geometry.cluster_size());
        let first = self.table.len() as u64;
        let available = u64::from(self.geometry.clusters) + 2;
        ensure!(
            first + count <= available,
            "the file system of {} bytes is too small for its content",
            self.geometry.size()
        );
        for next in first + 1..first + count {
            self.table.push(next as u32);
        }
        if count == 0 {
            return Ok((0, 0));
        }
        self.table.push(self.geometry.end_of_chain());
        Ok((first as u32, count as u32))
    }

    fn write_root(&self, root: &Node, label: Option<[u8; LABEL_LENGTH]>) -> Result<()> {
        let Kind::Directory(nodes) = &root.kind else {
            unreachable!("the top is a directory")
        };
        let mut bytes = Vec::new();
        if let Some(label) = label {
            bytes.extend(entry(label, ATTRIBUTE_VOLUME, root.stamp, 0, 0));
        }
        push_entries(&mut bytes, nodes);
        let place = match self.geometry.width {
            Width::Fat32 => self.geometry.cluster_offset(root.cluster),
            Width::Fat12 | Width::Fat16 => self.geometry.root_offset(),
        };
        self.write(&bytes, place)?;
        // The first level's `..` means the top, which is cluster 0 however it is stored.
        self.write_nodes(nodes, 0)
    }

    fn write_nodes(&self, nodes: &[Node], parent: u32) -> Result<()> {
        for node in nodes {
            let place = self.geometry.cluster_offset(node.cluster);
            match &node.kind {
                Kind::File { source, length } => self.copy(source, *length, place)?,
                Kind::Directory(nodes) => {
                    let mut bytes = Vec::new();
                    bytes.extend(entry(
                        *b".          ",
                        ATTRIBUTE_DIRECTORY,
                        node.stamp,
                        node.cluster,
                        0,
                    ));
                    bytes.extend(entry(
                        *b"..         ",
                        ATTRIBUTE_DIRECTORY,
                        node.stamp,
                        parent,
                        0,
                    ));
                    push_entries(&mut bytes, nodes);
                    self.write(&bytes, place)?;
                    self.write_nodes(nodes, node.cluster)?;
                }
            }
        }
        Ok(())
    }

    /// Copies a file, leaving holes where it has zeros.
    fn copy(&self, source: &Path, length: u64, place: u64) -> Result<()> {
        let mut file = fs_err::File::open(source)?;
        let mut piece = vec![0; PIECE.min(length as usize)];
        let mut position = 0;
        while position < length {
            let wanted = piece.len().min((length - position) as usize);
            file.read_exact(&mut piece[..wanted])?;
            if piece[..wanted].iter().any(|byte| *byte != 0) {
                self.write(&piece[..wanted], place + position)?;
            }
            position += wanted as u64;
        }
        Ok(())
    }

    fn write_tables(&self) -> Result<()> {
        let bytes = self.geometry.encode_table(&self.table);
        for copy in 0..2 {
            self.write(&bytes, self.geometry.table_offset(copy))?;
        }
        Ok(())
    }

    fn write_reserved(&self, serial: u32, label: Option<[u8; LABEL_LENGTH]>) -> Result<()> {
        let next = self.table.len() as u32;
        let used = next - 2;
        for (sector, bytes) in self.geometry.reserved_sectors(serial, label, used, next) {
            self.write(&bytes, self.geometry.sector_offset(sector))?;
        }
        Ok(())
    }

    fn write(&self, bytes: &[u8], place: u64) -> Result<()> {
        self.disk
            .write_all_at(bytes, place)
            .context("writing the FAT file system")
    }
}

fn push_entries(bytes: &mut Vec<u8>, nodes: &[Node]) {
    for node in nodes {
        if let Some(long) = &node.long {
            for part in fat_names::long_entry_parts(long, &node.short) {
                let mut entry = part;
                entry[11] = ATTRIBUTE_LONG_NAME;
                bytes.extend(entry);
            }
        }
        let (attribute, length) = match &node.kind {
            Kind::File { length, .. } => (ATTRIBUTE_ARCHIVE, *length as u32),
            Kind::Directory(_) => (ATTRIBUTE_DIRECTORY, 0),
        };
        bytes.extend(entry(
            node.short,
            attribute,
            node.stamp,
            node.cluster,
            length,
        ));
    }
}

fn entry(name: [u8; 11], attribute: u8, stamp: Stamp, cluster: u32, length: u32) -> [u8; 32] {
    let mut entry = [0; 32];
    let [a, b, c, d] = cluster.to_le_bytes();
    entry[..11].copy_from_slice(&name);
    entry[11] = attribute;
    // Created, and accessed, when it was last changed: FAT can not leave them out.
    entry[14..16].copy_from_slice(&stamp.time.to_le_bytes());
    entry[16..18].copy_from_slice(&stamp.date.to_le_bytes());
    entry[18..20].copy_from_slice(&stamp.date.to_le_bytes());
    entry[20..22].copy_from_slice(&[c, d]);
    entry[22..24].copy_from_slice(&stamp.time.to_le_bytes());
    entry[24..26].copy_from_slice(&stamp.date.to_le_bytes());
    entry[26..28].copy_from_slice(&[a, b]);
    entry[28..32].copy_from_slice(&length.to_le_bytes());
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_testing::needs;
    use std::process::Command;

    const MIB: u64 = 1 << 20;

    /// Files whose names and sizes are apt to go wrong, with times that do not depend on the day.
    fn tree() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs_err::create_dir_all(path.join("EFI/BOOT")).unwrap();
        fs_err::create_dir_all(path.join("EFI/debian/empty directory")).unwrap();
        for index in 0..40 {
            fs_err::write(
                path.join(format!("EFI/debian/a rather long name {index:02}.conf")),
                [index; 700],
            )
            .unwrap();
        }
        fs_err::write(path.join("EFI/BOOT/BOOTX64.EFI"), vec![0xa5; 1_500_000]).unwrap();
        fs_err::write(path.join("EFI/debian/Grub.cfg"), "lower and upper").unwrap();
        fs_err::write(path.join("EFI/debian/größe.txt"), "not ASCII").unwrap();
        fs_err::write(path.join("EFI/debian/empty"), "").unwrap();
        fs_err::write(path.join("README.TXT"), "short").unwrap();
        directory
    }

    fn image(
        tree: &Path,
        size: u64,
        fat_size: Option<u8>,
        sector_size: u64,
    ) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fat.img");
        let disk = fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        disk.set_len(size).unwrap();
        let content = Content {
            root: tree.to_owned(),
            hidden: Vec::new(),
        };
        let extent = Extent {
            start: 0,
            length: size,
        };
        let identity = Identity {
            uuid: "7B77-95E7",
            label: Some("esp"),
            width: fat_size,
        };
        make(
            disk.file(),
            extent,
            sector_size,
            identity,
            Some(&content),
            Some(1_600_000_000),
        )
        .unwrap();
        (directory, path)
    }

    fn output(program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program)
            .args(arguments)
            .env("MTOOLS_SKIP_CHECK", "1")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{program} {arguments:?}: {text}");
        text
    }

    #[test]
    fn every_width_and_sector_size_is_clean_and_reads_back() {
        needs![tool("fsck.fat"), tool("mcopy")];
        let tree = tree();
        for (size, fat_size, sector_size, expected) in [
            (4 * MIB, Some(12), 512, "FAT12"),
            (16 * MIB, None, 512, "FAT16"),
            (64 * MIB, None, 512, "FAT32"),
            (64 * MIB, Some(16), 512, "FAT16"),
            (300 * MIB, None, 512, "FAT32"),
            (300 * MIB, None, 4096, "FAT32"),
            (20 * MIB, None, 4096, "FAT16"),
        ] {
            let (directory, path) = image(tree.path(), size, fat_size, sector_size);
            let name = path.to_str().unwrap();
            let report = output("fsck.fat", &["-n", "-v", name]);
            assert!(
                !report.contains("Free cluster summary wrong") && !report.contains("differences"),
                "{report}"
            );
            let bytes = fs_err::read(&path).unwrap();
            let place = if expected == "FAT32" { 82 } else { 54 };
            assert_eq!(
                String::from_utf8_lossy(&bytes[place..place + 5]),
                expected,
                "{size} {sector_size}"
            );
            let back = directory.path().join("back");
            fs_err::create_dir(&back).unwrap();
            output(
                "mcopy",
                &["-s", "-Q", "-i", name, "::/*", back.to_str().unwrap()],
            );
            assert_same(tree.path(), &back);
        }
    }

    fn assert_same(one: &Path, other: &Path) {
        let names = |path: &Path| {
            let mut names: Vec<_> = fs_err::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(one), names(other));
        for name in names(one) {
            let (one, other) = (one.join(&name), other.join(&name));
            if one.is_dir() {
                assert_same(&one, &other);
            } else {
                assert!(
                    fs_err::read(&one).unwrap() == fs_err::read(&other).unwrap(),
                    "{}",
                    one.display()
                );
            }
        }
    }

    #[test]
    fn equal_content_gives_equal_bytes() {
        let build = || {
            let tree = tree();
            let (_directory, path) = image(tree.path(), 40 * MIB, None, 512);
            fs_err::read(path).unwrap()
        };
        assert!(build() == build());
    }

    #[test]
    fn a_size_by_content_suffices() {
        let tree = tree();
        let content = Content {
            root: tree.path().to_owned(),
            hidden: Vec::new(),
        };
        for free in [0, 100 * MIB, 2000 * MIB] {
            let size = fit(&content, free).unwrap();
            assert!(size > free && size < free + 40 * MIB + free / 50, "{size}");
            image(tree.path(), size.next_multiple_of(MIB), None, 512);
        }
    }

    #[test]
    fn what_fat_can_not_hold_is_named() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("x", directory.path().join("link")).unwrap();
        let content = Content {
            root: directory.path().to_owned(),
            hidden: Vec::new(),
        };
        let error = fit(&content, 0).unwrap_err();
        let path = directory.path().join("link");
        let expected = format!(
            "{} is neither a file nor a directory: FAT can not hold it",
            path.display()
        );
        assert_eq!(error.to_string(), expected);
        assert!(label("too long a label").is_err() && label("a/b").is_err());
        assert!(serial("12345").is_err());
    }
}
