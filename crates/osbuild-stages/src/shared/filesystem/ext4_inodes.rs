//! What `mkfs.ext4 -d` leaves to be done in the inodes it wrote: the owner and mode of the top directory, and, for
//! reproducible images, the times that it takes from the tree and that no tree can set: change and access.
//!
//! Offsets are those of the kernel's `Documentation/filesystems/ext4`.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::crc32c::crc32c;

const SUPERBLOCK: u64 = 1024;
const MAGIC: u16 = 0xef53;
const ROOT_INODE: u32 = 2;
const INCOMPAT_META_BG: u32 = 0x10;
const INCOMPAT_64BIT: u32 = 0x80;
const INCOMPAT_CSUM_SEED: u32 = 0x2000;
const RO_COMPAT_METADATA_CSUM: u32 = 0x400;
/// The group's inode table was never written.
const GROUP_INODE_UNINIT: u16 = 1;
const GROUP_DESCRIPTOR_SHORT: u64 = 32;
const MODE_PERMISSIONS: u16 = 0o7777;

const INODE_MODE: usize = 0;
const INODE_UID: usize = 2;
const INODE_ACCESS: usize = 8;
const INODE_CHANGE: usize = 12;
const INODE_MODIFICATION: usize = 16;
const INODE_GID: usize = 24;
const INODE_LINKS: usize = 26;
const INODE_GENERATION: usize = 100;
const INODE_UID_HIGH: usize = 120;
const INODE_GID_HIGH: usize = 122;
const INODE_CHECKSUM: usize = 124;
const INODE_EXTRA_SIZE: usize = 128;
const INODE_CHECKSUM_HIGH: usize = 130;
const INODE_CHANGE_EXTRA: usize = 132;
const INODE_MODIFICATION_EXTRA: usize = 136;
const INODE_ACCESS_EXTRA: usize = 140;
const INODE_CREATION: usize = 144;
const INODE_CREATION_EXTRA: usize = 148;
/// The extra fields reach as far as the creation time.
const EXTRA_SIZE_MIN: u16 = 24;

/// Sets owner and mode of the top directory from `root`, and, given an epoch, all times: none is later.
pub(crate) fn finish(
    disk: &File,
    offset: u64,
    root: Option<&Path>,
    epoch: Option<i64>,
) -> Result<()> {
    let system = System::read(disk, offset)?;
    if let Some(root) = root {
        let metadata = fs_err::metadata(root)?;
        system.change(ROOT_INODE, |inode| inode.take_owner(&metadata))?;
    }
    let Some(epoch) = epoch else { return Ok(()) };
    for group in 0..system.groups() {
        system.settle_group(group, epoch)?;
    }
    Ok(())
}

/// Fields of the superblock, and where the file system is.
#[derive(Debug)]
struct System<'a> {
    disk: &'a File,
    offset: u64,
    block_size: u64,
    first_block: u64,
    inodes: u32,
    inodes_per_group: u32,
    inode_size: u64,
    descriptor_size: u64,
    /// `None` where inodes have no checksums.
    checksum_seed: Option<u32>,
}

impl<'a> System<'a> {
    fn read(disk: &'a File, offset: u64) -> Result<Self> {
        let mut block = [0; 1024];
        disk.read_exact_at(&mut block, offset + SUPERBLOCK)
            .context("reading the superblock")?;
        let short = |place: usize| u16::from_le_bytes([block[place], block[place + 1]]);
        let long = |place: usize| {
            u32::from_le_bytes([
                block[place],
                block[place + 1],
                block[place + 2],
                block[place + 3],
            ])
        };
        ensure!(short(56) == MAGIC, "there is no ext4 superblock");
        let incompatible = long(96);
        ensure!(
            incompatible & INCOMPAT_META_BG == 0,
            "block descriptors spread over the groups (meta_bg) are not known here"
        );
        let seed = if incompatible & INCOMPAT_CSUM_SEED == 0 {
            crc32c(!0, &block[104..120])
        } else {
            long(624)
        };
        let is_wide = incompatible & INCOMPAT_64BIT != 0;
        Ok(Self {
            disk,
            offset,
            block_size: 1024 << long(24),
            first_block: long(20).into(),
            inodes: long(0),
            inodes_per_group: long(40),
            inode_size: short(88).into(),
            descriptor_size: if is_wide {
                short(254).into()
            } else {
                GROUP_DESCRIPTOR_SHORT
            },
            checksum_seed: (long(100) & RO_COMPAT_METADATA_CSUM != 0).then_some(seed),
        })
    }

    fn groups(&self) -> u32 {
        self.inodes.div_ceil(self.inodes_per_group)
    }

    /// Says where a group's inodes are, and how many of them were ever used.
    fn inode_table(&self, group: u32) -> Result<(u64, u32)> {
        let table = self.offset + (self.first_block + 1) * self.block_size;
        let mut descriptor = vec![0; self.descriptor_size as usize];
        self.disk.read_exact_at(
            &mut descriptor,
            table + u64::from(group) * self.descriptor_size,
        )?;
        let short = |place: usize| u16::from_le_bytes([descriptor[place], descriptor[place + 1]]);
        let is_wide = self.descriptor_size > GROUP_DESCRIPTOR_SHORT;
        let wide = |place: usize| if is_wide { u32::from(short(place)) } else { 0 };
        let block = u64::from(short(8))
            | (u64::from(short(10)) << 16)
            | (u64::from(wide(40)) << 32)
            | (u64::from(wide(42)) << 48);
        let unused = u32::from(short(28)) | (wide(50) << 16);
        let is_uninitialized = short(18) & GROUP_INODE_UNINIT != 0;
        let used = if is_uninitialized {
            0
        } else {
            self.inodes_per_group.saturating_sub(unused)
        };
        Ok((self.offset + block * self.block_size, used))
    }

    fn settle_group(&self, group: u32, epoch: i64) -> Result<()> {
        let (table, used) = self.inode_table(group)?;
        let mut inodes = vec![0; used as usize * self.inode_size as usize];
        self.disk
            .read_exact_at(&mut inodes, table)
            .context("reading inodes")?;
        for (index, bytes) in inodes
            .chunks_exact_mut(self.inode_size as usize)
            .enumerate()
        {
            let number = group * self.inodes_per_group + index as u32 + 1;
            let mut inode = Inode { bytes };
            if inode.is_used() {
                inode.settle(epoch)?;
                inode.seal(number, self.checksum_seed);
            }
        }
        self.disk
            .write_all_at(&inodes, table)
            .context("writing inodes")
    }

    fn change(&self, number: u32, change: impl FnOnce(&mut Inode<'_>)) -> Result<()> {
        let (table, _) = self.inode_table((number - 1) / self.inodes_per_group)?;
        let place = table + u64::from((number - 1) % self.inodes_per_group) * self.inode_size;
        let mut bytes = vec![0; self.inode_size as usize];
        self.disk
            .read_exact_at(&mut bytes, place)
            .context("reading an inode")?;
        let mut inode = Inode { bytes: &mut bytes };
        change(&mut inode);
        inode.seal(number, self.checksum_seed);
        self.disk
            .write_all_at(&bytes, place)
            .context("writing an inode")
    }
}

#[derive(Debug)]
struct Inode<'a> {
    bytes: &'a mut [u8],
}

impl Inode<'_> {
    fn short(&self, place: usize) -> u16 {
        u16::from_le_bytes([self.bytes[place], self.bytes[place + 1]])
    }

    fn long(&self, place: usize) -> u32 {
        u32::from(self.short(place)) | (u32::from(self.short(place + 2)) << 16)
    }

    fn set(&mut self, place: usize, bytes: &[u8]) {
        self.bytes[place..place + bytes.len()].copy_from_slice(bytes);
    }

    fn is_used(&self) -> bool {
        self.short(INODE_MODE) != 0 || self.short(INODE_LINKS) != 0
    }

    fn take_owner(&mut self, from: &std::fs::Metadata) {
        let mode =
            (self.short(INODE_MODE) & !MODE_PERMISSIONS) | (from.mode() as u16 & MODE_PERMISSIONS);
        self.set(INODE_MODE, &mode.to_le_bytes());
        for (low, high, number) in [
            (INODE_UID, INODE_UID_HIGH, from.uid()),
            (INODE_GID, INODE_GID_HIGH, from.gid()),
        ] {
            let [a, b, c, d] = number.to_le_bytes();
            self.set(low, &[a, b]);
            self.set(high, &[c, d]);
        }
        self.set_time(INODE_MODIFICATION, INODE_MODIFICATION_EXTRA, from.mtime());
    }

    /// Sets every time to the epoch, but leaves a modification before it.
    fn settle(&mut self, epoch: i64) -> Result<()> {
        let extra = self.short(INODE_EXTRA_SIZE);
        // Reserved inodes that nothing was ever put into have no extra fields.
        if extra == 0 {
            return Ok(());
        }
        ensure!(
            extra >= EXTRA_SIZE_MIN,
            "inodes with {extra} extra bytes are not known here"
        );
        let modified = self.time(INODE_MODIFICATION, INODE_MODIFICATION_EXTRA);
        self.set_time(
            INODE_MODIFICATION,
            INODE_MODIFICATION_EXTRA,
            modified.min(epoch),
        );
        self.set_time(INODE_ACCESS, INODE_ACCESS_EXTRA, epoch);
        self.set_time(INODE_CHANGE, INODE_CHANGE_EXTRA, epoch);
        self.set_time(INODE_CREATION, INODE_CREATION_EXTRA, epoch);
        Ok(())
    }

    /// Seconds are 34 bits: the lower 32 signed, and two more above.
    fn time(&self, place: usize, extra: usize) -> i64 {
        i64::from(self.long(place) as i32) + (i64::from(self.long(extra) & 3) << 32)
    }

    fn set_time(&mut self, place: usize, extra: usize, seconds: i64) {
        let low = seconds as i32;
        self.set(place, &low.to_le_bytes());
        let above = ((seconds - i64::from(low)) >> 32) as u32 & 3;
        self.set(extra, &above.to_le_bytes());
    }

    /// Writes the checksum, which covers the number, the generation and all but itself.
    fn seal(&mut self, number: u32, seed: Option<u32>) {
        let Some(seed) = seed else { return };
        let has_high = self.short(INODE_EXTRA_SIZE) >= 4;
        self.set(INODE_CHECKSUM, &[0; 2]);
        if has_high {
            self.set(INODE_CHECKSUM_HIGH, &[0; 2]);
        }
        let seed = crc32c(seed, &number.to_le_bytes());
        let seed = crc32c(seed, &self.long(INODE_GENERATION).to_le_bytes());
        let [a, b, c, d] = crc32c(seed, self.bytes).to_le_bytes();
        self.set(INODE_CHECKSUM, &[a, b]);
        if has_high {
            self.set(INODE_CHECKSUM_HIGH, &[c, d]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_beyond_32_bits_come_back() {
        for seconds in [
            0,
            1,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_ffff,
            0x1_0000_0000,
            -1,
            0x3_7fff_ffff,
        ] {
            let mut bytes = [0; 256];
            let mut inode = Inode { bytes: &mut bytes };
            inode.set_time(INODE_MODIFICATION, INODE_MODIFICATION_EXTRA, seconds);
            assert_eq!(
                inode.time(INODE_MODIFICATION, INODE_MODIFICATION_EXTRA),
                seconds
            );
        }
    }
}
