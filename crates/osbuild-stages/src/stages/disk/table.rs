//! Writing the partition table.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, bail, ensure};
use gptman::{GPT, GPTPartitionEntry};
use uuid::Uuid;

use super::layout::{GPT_ENTRIES, Layout};
use super::options::{Partition, TableKind};
use crate::shared::filesystem::extent::Extent;

/// Attribute 2 of a GPT partition: legacy BIOS bootable.
const LEGACY_BIOS_BOOTABLE: u8 = 2;
const MBR_SIGNATURE: [u8; 2] = [0x55, 0xaa];
const MBR_SIGNATURE_OFFSET: u64 = 510;
const MBR_IDENTIFIER_OFFSET: u64 = 440;
const MBR_ENTRIES_OFFSET: u64 = 446;
const MBR_ENTRY_SIZE: u64 = 16;
const MBR_ENTRIES_MAX: usize = 4;
const MBR_ACTIVE: u8 = 0x80;
/// The cylinder, head and sector of what has none: the sector number alone counts.
const MBR_BEYOND_CYLINDERS: [u8; 3] = [0xfe, 0xff, 0xff];

/// The table to write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'a> {
    pub(super) label: TableKind,
    pub(super) uuid: &'a str,
    pub(super) sector_size: u64,
    pub(super) partitions: &'a [Partition],
    pub(super) layout: &'a Layout,
}

/// Writes the table to the disk, which already has its size.
pub(super) fn write(disk: &File, table: Table<'_>) -> Result<()> {
    match table.label {
        TableKind::Gpt => write_gpt(disk, table),
        TableKind::Dos => write_mbr(disk, table),
    }
}

fn write_gpt(mut disk: &File, table: Table<'_>) -> Result<()> {
    let identifier = guid(table.uuid).context("reading the disk's GUID")?;
    let doing = "writing the partition table";
    let count = table.partitions.len();
    ensure!(
        count as u64 <= GPT_ENTRIES,
        "a GPT holds {GPT_ENTRIES} partitions, not {count}"
    );
    // The library asks the reader how large the disk is.
    let mut gpt = GPT::new_from(&mut disk, table.sector_size, identifier).context(doing)?;
    for (index, (partition, extent)) in table
        .partitions
        .iter()
        .zip(&table.layout.partitions)
        .enumerate()
    {
        let number = index as u32 + 1;
        gpt[number] = gpt_entry(partition, *extent, table.sector_size)
            .with_context(|| format!("reading partition {number}"))?;
    }
    disk.seek(SeekFrom::Start(0)).context(doing)?;
    GPT::write_protective_mbr_into(&mut disk, table.sector_size).context(doing)?;
    gpt.write_into(&mut disk).context(doing)?;
    Ok(())
}

fn gpt_entry(partition: &Partition, extent: Extent, sector_size: u64) -> Result<GPTPartitionEntry> {
    let Some(uuid) = &partition.uuid else {
        bail!("a GPT partition needs a `uuid`")
    };
    let attributes = partition
        .attrs
        .iter()
        .fold(0, |bits, bit| bits | (1u64 << bit));
    let bootable = u64::from(partition.bootable) << LEGACY_BIOS_BOOTABLE;
    Ok(GPTPartitionEntry {
        partition_type_guid: guid(&partition.r#type)?,
        unique_partition_guid: guid(uuid)?,
        starting_lba: extent.start / sector_size,
        ending_lba: (extent.start + extent.length) / sector_size - 1,
        attribute_bits: attributes | bootable,
        partition_name: partition.name.as_str().into(),
    })
}

/// On disk, the first three fields are little-endian.
fn guid(text: &str) -> Result<[u8; 16]> {
    let uuid = Uuid::parse_str(text).with_context(|| format!("`{text}` is no GUID"))?;
    Ok(uuid.to_bytes_le())
}

fn write_mbr(disk: &File, table: Table<'_>) -> Result<()> {
    let partitions = table.partitions;
    let count = partitions.len();
    ensure!(
        count <= MBR_ENTRIES_MAX,
        "an MBR holds {MBR_ENTRIES_MAX} partitions, not {count}"
    );
    let identifier = number(table.uuid).context("reading the disk's identifier")?;
    let doing = "writing the partition table";
    disk.write_all_at(&identifier.to_le_bytes(), MBR_IDENTIFIER_OFFSET)
        .context(doing)?;
    for (index, (partition, extent)) in partitions.iter().zip(&table.layout.partitions).enumerate()
    {
        let entry = mbr_entry(partition, *extent, table.sector_size)
            .with_context(|| format!("reading partition {}", index + 1))?;
        disk.write_all_at(&entry, MBR_ENTRIES_OFFSET + index as u64 * MBR_ENTRY_SIZE)
            .context(doing)?;
    }
    disk.write_all_at(&MBR_SIGNATURE, MBR_SIGNATURE_OFFSET)
        .context(doing)
}

fn mbr_entry(partition: &Partition, extent: Extent, sector_size: u64) -> Result<[u8; 16]> {
    let kind = u8::try_from(number(&partition.r#type)?).context("an MBR type is one byte")?;
    let mut entry = [0; 16];
    entry[0] = if partition.bootable { MBR_ACTIVE } else { 0 };
    entry[1..4].copy_from_slice(&MBR_BEYOND_CYLINDERS);
    entry[4] = kind;
    entry[5..8].copy_from_slice(&MBR_BEYOND_CYLINDERS);
    for (place, bytes) in [(8, extent.start), (12, extent.length)] {
        let sectors = u32::try_from(bytes / sector_size)
            .context("an MBR can not say where this partition is")?;
        entry[place..place + 4].copy_from_slice(&sectors.to_le_bytes());
    }
    Ok(entry)
}

fn number(text: &str) -> Result<u32> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .unwrap_or(text);
    u32::from_str_radix(digits, 16)
        .with_context(|| format!("`{text}` is no hexadecimal number of 32 bits"))
}
