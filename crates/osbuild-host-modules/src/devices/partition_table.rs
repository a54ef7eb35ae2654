//! Where the partitions of a disk image are: GPT or MBR, numbered as the kernel numbers them.

use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result, bail};
use fs_err::File;

/// A part of a file or device, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub start: u64,
    /// Number of bytes.
    pub size: u64,
}

const SECTOR: usize = 512;
const SIGNATURE: [u8; 2] = [0x55, 0xaa];
const TABLE: usize = 446;
const ENTRY: usize = 16;
const PROTECTIVE: u8 = 0xee;
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

/// The kernel stops there, too; a chain of logical partitions may be a circle.
const MOST_PARTITIONS: u32 = 256;

/// Gives the numbers and places of all partitions within the extent; none if there is no partition table.
///
/// # Errors
/// The table is damaged, or reaches beyond the end of the disk.
pub fn read_partitions(file: &File, disk: Extent, sector_size: u64) -> Result<Vec<(u32, Extent)>> {
    let mut window = Window {
        file,
        disk,
        position: 0,
    };
    if disk.size < sector_size {
        return Ok(Vec::new());
    }
    let first = window.sector(0)?;
    if first[SECTOR - 2..] != SIGNATURE {
        return Ok(Vec::new());
    }
    let entries = MbrEntry::all(&first);
    let partitions = if entries.iter().any(|entry| entry.kind == PROTECTIVE) {
        gpt_partitions(&mut window, sector_size)?
    } else {
        mbr_partitions(&window, &entries, sector_size)?
    };
    for (number, partition) in &partitions {
        let end = partition.start.checked_add(partition.size);
        if end.is_none_or(|end| end > disk.size) {
            bail!("partition {number} reaches beyond the end of the disk");
        }
    }
    Ok(partitions)
}

fn gpt_partitions(window: &mut Window<'_>, sector_size: u64) -> Result<Vec<(u32, Extent)>> {
    let table = gptman::GPT::read_from(window, sector_size).context("reading a GPT")?;
    let used = table.iter().filter(|(_, partition)| partition.is_used());
    used.map(|(number, partition)| {
        let sectors = partition
            .size()
            .with_context(|| format!("partition {number} ends before it starts"))?;
        let extent = sectors_to_extent(partition.starting_lba, sectors, sector_size)
            .with_context(|| format!("partition {number} is too large"))?;
        Ok((number, extent))
    })
    .collect()
}

fn mbr_partitions(
    window: &Window<'_>,
    entries: &[MbrEntry],
    sector_size: u64,
) -> Result<Vec<(u32, Extent)>> {
    let mut partitions = Vec::new();
    for (number, entry) in (1..).zip(entries) {
        if entry.kind != 0 && entry.sectors > 0 {
            partitions.push((number, entry.extent(0, sector_size)?));
        }
    }
    let Some(extended) = entries.iter().find(|entry| EXTENDED.contains(&entry.kind)) else {
        return Ok(partitions);
    };
    let base = u64::from(extended.start);
    let mut current = base;
    for number in 5..MOST_PARTITIONS {
        let sector = window.sector(current * sector_size)?;
        if sector[SECTOR - 2..] != SIGNATURE {
            bail!("the extended partition has no table at sector {current}");
        }
        let entries = MbrEntry::all(&sector);
        if entries[0].kind != 0 && entries[0].sectors > 0 {
            partitions.push((number, entries[0].extent(current, sector_size)?));
        }
        if !EXTENDED.contains(&entries[1].kind) {
            break;
        }
        current = base + u64::from(entries[1].start);
    }
    Ok(partitions)
}

#[derive(Clone, Copy)]
struct MbrEntry {
    kind: u8,
    start: u32,
    sectors: u32,
}

impl MbrEntry {
    fn all(sector: &[u8; SECTOR]) -> [Self; 4] {
        std::array::from_fn(|index| {
            let entry = &sector[TABLE + index * ENTRY..][..ENTRY];
            let number = |at: usize| {
                u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]])
            };
            Self {
                kind: entry[4],
                start: number(8),
                sectors: number(12),
            }
        })
    }

    fn extent(self, base: u64, sector_size: u64) -> Result<Extent> {
        let start = base + u64::from(self.start);
        sectors_to_extent(start, u64::from(self.sectors), sector_size)
            .context("a partition is too large")
    }
}

fn sectors_to_extent(start: u64, sectors: u64, sector_size: u64) -> Option<Extent> {
    Some(Extent {
        start: start.checked_mul(sector_size)?,
        size: sectors.checked_mul(sector_size)?,
    })
}

/// The part of the file that is the disk, as if it were a file.
struct Window<'a> {
    file: &'a File,
    disk: Extent,
    position: u64,
}

impl Window<'_> {
    fn sector(&self, offset: u64) -> Result<[u8; SECTOR]> {
        let mut sector = [0; SECTOR];
        if offset.saturating_add(SECTOR as u64) > self.disk.size {
            bail!("the disk ends before byte {offset}");
        }
        self.file
            .file()
            .read_exact_at(&mut sector, self.disk.start + offset)
            .with_context(|| format!("reading `{}`", self.file.path().display()))?;
        Ok(sector)
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.disk.size.saturating_sub(self.position);
        let most = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self
            .file
            .file()
            .read_at(&mut buffer[..most], self.disk.start + self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.disk.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use osbuild_testing::needs;

    use super::*;

    const MIB: u64 = 1 << 20;

    /// Makes a disk of 32 MiB, 1 MiB into a file, as sfdisk is told.
    fn partitions(script: &str) -> Vec<(u32, u64, u64)> {
        let mut disk = tempfile::NamedTempFile::new().unwrap();
        disk.as_file().set_len(32 * MIB).unwrap();
        let mut sfdisk = Command::new("sfdisk")
            .arg("--quiet")
            .arg(disk.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        sfdisk
            .stdin
            .take()
            .unwrap()
            .write_all(script.as_bytes())
            .unwrap();
        assert!(sfdisk.wait().unwrap().success());
        let table = fs_err::read(disk.path()).unwrap();
        disk.as_file().set_len(0).unwrap();
        disk.write_all(&vec![0xff; MIB as usize]).unwrap();
        disk.write_all(&table).unwrap();
        let extent = Extent {
            start: MIB,
            size: 32 * MIB,
        };
        let file = File::open(disk.path()).unwrap();
        read_partitions(&file, extent, 512)
            .unwrap()
            .into_iter()
            .map(|(number, extent)| (number, extent.start / 512, extent.size / 512))
            .collect()
    }

    #[test]
    fn a_gpt_is_read_with_its_gaps() {
        needs![tool("sfdisk")];
        assert_eq!(
            partitions("label: gpt\n1: start=2048, size=2048\n3: start=8192, size=4096\n"),
            [(1, 2048, 2048), (3, 8192, 4096)]
        );
    }

    #[test]
    fn logical_partitions_count_from_five() {
        needs![tool("sfdisk")];
        let script = "label: dos\n\
            1: start=2048, size=2048, type=83\n\
            2: start=4096, size=32768, type=5\n\
            5: start=6144, size=2048, type=83\n\
            6: start=10240, size=2048, type=83\n";
        assert_eq!(
            partitions(script),
            [
                (1, 2048, 2048),
                (2, 4096, 32768),
                (5, 6144, 2048),
                (6, 10240, 2048)
            ]
        );
    }

    #[test]
    fn a_file_without_a_table_has_no_partitions() {
        let mut disk = tempfile::NamedTempFile::new().unwrap();
        disk.write_all(&[0; 4096]).unwrap();
        let extent = Extent {
            start: 0,
            size: 4096,
        };
        let file = File::open(disk.path()).unwrap();
        assert_eq!(read_partitions(&file, extent, 512).unwrap(), []);
    }
}
