//! The proportions of a FAT file system: how wide its entries, how large its clusters, where everything lies.

use anyhow::{Result, bail};

use super::extent::Extent;

/// Bytes of a directory entry.
pub(crate) const DIRECTORY_ENTRY: u64 = 32;
/// Entries of the top directory of FAT12 and FAT16.
pub(crate) const ROOT_ENTRIES: u64 = 512;
/// Fewer clusters than this make a FAT12, fewer than the next a FAT16, by definition.
const FAT16_CLUSTERS: u64 = 4085;
const FAT32_CLUSTERS: u64 = 65525;
const FAT32_CLUSTERS_MAX: u64 = 0x0fff_fff0;
/// Sectors before the tables of FAT32: as many as every tool reserves.
const FAT32_RESERVED: u64 = 32;
const BACKUP_SECTOR: u64 = 6;
const CLUSTER_MAX: u64 = 32 * 1024;
const MEDIA_FIXED: u8 = 0xf8;
const HEADS: u16 = 255;
const SECTORS_PER_TRACK: u16 = 63;
/// `EB 58 90`: a jump over the parameters, to where code could be.
const JUMP: [u8; 3] = [0xeb, 0x58, 0x90];
const SYSTEM_NAME: &[u8; 8] = b"OSBUILD ";
const BOOT_DRIVE: u8 = 0x80;
const EXTENDED_SIGNATURE: u8 = 0x29;
const SECTOR_SIGNATURE: [u8; 2] = [0x55, 0xaa];

/// How many bits an entry of the table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Fat12,
    Fat16,
    Fat32,
}

/// Where everything lies; sectors and clusters are counted from the start of the file system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FatGeometry {
    pub(crate) width: Width,
    pub(crate) clusters: u32,
    extent: Extent,
    sector_size: u64,
    sectors_per_cluster: u64,
    reserved: u64,
    table_sectors: u64,
}

impl Width {
    fn bits(self) -> u64 {
        match self {
            Self::Fat12 => 12,
            Self::Fat16 => 16,
            Self::Fat32 => 32,
        }
    }

    fn of(clusters: u64) -> Self {
        match clusters {
            0..FAT16_CLUSTERS => Self::Fat12,
            FAT16_CLUSTERS..FAT32_CLUSTERS => Self::Fat16,
            _ => Self::Fat32,
        }
    }
}

impl FatGeometry {
    /// The largest cluster that a file system of less than 8 GiB gets.
    pub(crate) const CLUSTER_MAX_SMALL: u64 = 4096;

    /// Chooses width and cluster size: FAT32 where it is possible, and the smallest clusters that are usual then.
    pub(crate) fn choose(extent: Extent, sector_size: u64, bits: Option<u8>) -> Result<Self> {
        let widths = match bits {
            None => vec![Width::Fat32, Width::Fat16, Width::Fat12],
            Some(12) => vec![Width::Fat12],
            Some(16) => vec![Width::Fat16],
            Some(32) => vec![Width::Fat32],
            Some(bits) => bail!("there is no FAT of {bits} bits"),
        };
        for width in widths {
            let mut cluster = sector_size.max(if width == Width::Fat32 {
                usual_cluster(extent.length)
            } else {
                512
            });
            while cluster <= CLUSTER_MAX.max(sector_size) {
                if let Some(geometry) =
                    Self::with(width, extent, sector_size, cluster / sector_size)
                {
                    return Ok(geometry);
                }
                cluster *= 2;
            }
        }
        let wanted = bits.map_or("a FAT".to_owned(), |bits| format!("a FAT of {bits} bits"));
        bail!(
            "{} bytes in sectors of {sector_size} can not be {wanted}",
            extent.length
        )
    }

    fn with(
        width: Width,
        extent: Extent,
        sector_size: u64,
        sectors_per_cluster: u64,
    ) -> Option<Self> {
        let reserved = if width == Width::Fat32 {
            FAT32_RESERVED
        } else {
            1
        };
        let mut geometry = Self {
            width,
            clusters: 0,
            extent,
            sector_size,
            sectors_per_cluster,
            reserved,
            table_sectors: 1,
        };
        let sectors = extent.length / sector_size;
        // More clusters need larger tables, which leave room for fewer clusters: the first that agree.
        let clusters = loop {
            let clusters = sectors.checked_sub(geometry.first_data_sector())? / sectors_per_cluster;
            let needed = ((clusters + 2) * width.bits())
                .div_ceil(8)
                .div_ceil(sector_size);
            if needed <= geometry.table_sectors {
                break clusters;
            }
            geometry.table_sectors = needed;
        };
        geometry.clusters = u32::try_from(clusters).ok()?;
        (Width::of(clusters) == width && clusters > 0 && clusters <= FAT32_CLUSTERS_MAX)
            .then_some(geometry)
    }

    /// Says how large a FAT32 must be to have that many bytes in clusters.
    pub(crate) fn size_for(bytes: u64) -> u64 {
        let bytes = bytes.max((FAT32_CLUSTERS + 1) * 512);
        // Eight bytes in the tables for each cluster of the smallest size that occurs.
        let cluster = usual_cluster(bytes);
        bytes + bytes / cluster * 8 + (FAT32_RESERVED + 16) * Self::CLUSTER_MAX_SMALL
    }

    pub(crate) fn size(&self) -> u64 {
        self.extent.length
    }

    pub(crate) fn cluster_size(&self) -> u64 {
        self.sectors_per_cluster * self.sector_size
    }

    fn root_sectors(&self) -> u64 {
        if self.width == Width::Fat32 {
            0
        } else {
            ROOT_ENTRIES * DIRECTORY_ENTRY / self.sector_size
        }
    }

    fn first_data_sector(&self) -> u64 {
        self.reserved + 2 * self.table_sectors + self.root_sectors()
    }

    pub(crate) fn sector_offset(&self, sector: u64) -> u64 {
        self.extent.start + sector * self.sector_size
    }

    pub(crate) fn table_offset(&self, copy: u64) -> u64 {
        self.sector_offset(self.reserved + copy * self.table_sectors)
    }

    pub(crate) fn root_offset(&self) -> u64 {
        self.sector_offset(self.reserved + 2 * self.table_sectors)
    }

    /// Empty files have cluster 0, which is nowhere and never written.
    pub(crate) fn cluster_offset(&self, cluster: u32) -> u64 {
        let index = u64::from(cluster).saturating_sub(2);
        self.sector_offset(self.first_data_sector() + index * self.sectors_per_cluster)
    }

    pub(crate) fn end_of_chain(&self) -> u32 {
        match self.width {
            Width::Fat12 => 0xfff,
            Width::Fat16 => 0xffff,
            Width::Fat32 => 0x0fff_ffff,
        }
    }

    /// The first entry repeats the media byte.
    pub(crate) fn media_entry(&self) -> u32 {
        (self.end_of_chain() & !0xff) | u32::from(MEDIA_FIXED)
    }

    pub(crate) fn encode_table(&self, table: &[u32]) -> Vec<u8> {
        match self.width {
            Width::Fat32 => table.iter().flat_map(|entry| entry.to_le_bytes()).collect(),
            Width::Fat16 => table
                .iter()
                .flat_map(|entry| (*entry as u16).to_le_bytes())
                .collect(),
            Width::Fat12 => table
                .chunks(2)
                .flat_map(|pair| {
                    let bits = pair[0] | (pair.get(1).unwrap_or(&0) << 12);
                    [bits as u8, (bits >> 8) as u8, (bits >> 16) as u8]
                })
                .collect(),
        }
    }

    /// The sectors before the tables, by number.
    pub(crate) fn reserved_sectors(
        &self,
        serial: u32,
        label: Option<[u8; 11]>,
        used: u32,
        next: u32,
    ) -> Vec<(u64, Vec<u8>)> {
        let boot = self.boot_sector(serial, label.unwrap_or(*b"NO NAME    "));
        if self.width != Width::Fat32 {
            return vec![(0, boot)];
        }
        let information = self.information_sector(used, next);
        vec![
            (0, boot.clone()),
            (1, information.clone()),
            (BACKUP_SECTOR, boot),
            (BACKUP_SECTOR + 1, information),
        ]
    }

    fn boot_sector(&self, serial: u32, label: [u8; 11]) -> Vec<u8> {
        let mut sector = vec![0; self.sector_size as usize];
        let mut put =
            |place: usize, bytes: &[u8]| sector[place..place + bytes.len()].copy_from_slice(bytes);
        let sectors = self.extent.length / self.sector_size;
        let is_wide = self.width == Width::Fat32;
        put(0, &JUMP);
        put(3, SYSTEM_NAME);
        put(11, &(self.sector_size as u16).to_le_bytes());
        put(13, &[self.sectors_per_cluster as u8]);
        put(14, &(self.reserved as u16).to_le_bytes());
        put(16, &[2]);
        put(
            17,
            &(if is_wide { 0 } else { ROOT_ENTRIES as u16 }).to_le_bytes(),
        );
        let short_sectors = u16::try_from(sectors).ok().filter(|_| !is_wide);
        put(19, &short_sectors.unwrap_or(0).to_le_bytes());
        put(21, &[MEDIA_FIXED]);
        put(
            22,
            &(if is_wide {
                0
            } else {
                self.table_sectors as u16
            })
            .to_le_bytes(),
        );
        put(24, &SECTORS_PER_TRACK.to_le_bytes());
        put(26, &HEADS.to_le_bytes());
        put(
            28,
            &((self.extent.start / self.sector_size) as u32).to_le_bytes(),
        );
        put(
            32,
            &(if short_sectors.is_some() {
                0
            } else {
                sectors as u32
            })
            .to_le_bytes(),
        );
        let rest = if is_wide {
            put(36, &(self.table_sectors as u32).to_le_bytes());
            // The top directory is the first thing that was placed.
            put(44, &2u32.to_le_bytes());
            put(48, &1u16.to_le_bytes());
            put(50, &(BACKUP_SECTOR as u16).to_le_bytes());
            64
        } else {
            36
        };
        put(rest, &[BOOT_DRIVE, 0, EXTENDED_SIGNATURE]);
        put(rest + 3, &serial.to_le_bytes());
        put(rest + 7, &label);
        put(
            rest + 18,
            format!("{:<8}", format!("FAT{}", self.width.bits())).as_bytes(),
        );
        put(510, &SECTOR_SIGNATURE);
        sector
    }

    fn information_sector(&self, used: u32, next: u32) -> Vec<u8> {
        let mut sector = vec![0; self.sector_size as usize];
        let mut put =
            |place: usize, bytes: &[u8]| sector[place..place + bytes.len()].copy_from_slice(bytes);
        put(0, b"RRaA");
        put(484, b"rrAa");
        put(488, &(self.clusters - used).to_le_bytes());
        put(492, &next.to_le_bytes());
        put(510, &SECTOR_SIGNATURE);
        sector
    }
}

/// Cluster sizes of FAT32 by the size of the volume, from Microsoft's paper.
fn usual_cluster(size: u64) -> u64 {
    const MIB: u64 = 1024 * 1024;
    match size / MIB {
        0..260 => 512,
        260..8192 => 4096,
        8192..16384 => 8192,
        16384..32768 => 16384,
        _ => 32768,
    }
}
