//! Writing GRUB's boot code and core image into a disk, as its BIOS boot code expects to find them.
//!
//! Offsets are those of GRUB's `boot.S` and `diskboot.S`; both count in sectors of the disk.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};
use osbuild_stage_api::StageError;

/// Code in the first sector ends here: disk identifier and partition table follow.
const BOOT_CODE_LENGTH: usize = 440;
/// Where the boot code reads the first sector of the core image from: `GRUB_BOOT_MACHINE_KERNEL_SECTOR`.
const KERNEL_SECTOR_OFFSET: u64 = 0x5c;
/// A jump over the check of the drive number: `GRUB_BOOT_MACHINE_DRIVE_CHECK`.
const DRIVE_CHECK_OFFSET: u64 = 0x66;
/// Two `nop`: the check is done.
const CHECK_THE_DRIVE: [u8; 2] = [0x90, 0x90];
/// Where the first sector of the core image reads from which sector its rest follows: the last block list entry.
const BLOCK_LIST_OFFSET: u64 = 512 - 12;
/// A core image here, behind an MBR, needs no patch: that place is built in.
const BUILT_IN_OFFSET: u64 = 512;

/// Writes the core image to a sector.
pub(crate) fn write_core(disk: &File, core: &[u8], location: u64, sector_size: u64) -> Result<()> {
    disk.write_all_at(core, location * sector_size)
        .context("writing GRUB's core image")
}

/// Tells the core image where it lies, and writes the boot code that starts it.
pub(crate) fn write_boot_code(
    disk: &File,
    boot: &[u8],
    location: u64,
    sector_size: u64,
) -> Result<()> {
    ensure!(
        boot.len() >= BOOT_CODE_LENGTH,
        "GRUB's boot image has only {} bytes",
        boot.len()
    );
    let doing = "writing GRUB's boot code";
    if location * sector_size > BUILT_IN_OFFSET {
        let place = location * sector_size + BLOCK_LIST_OFFSET;
        disk.write_all_at(&(location + 1).to_le_bytes(), place)
            .context(doing)?;
    }
    disk.write_all_at(&boot[..BOOT_CODE_LENGTH], 0)
        .context(doing)?;
    disk.write_all_at(&location.to_le_bytes(), KERNEL_SECTOR_OFFSET)
        .context(doing)
}

/// Makes the boot code correct firmware that passes a wrong drive number, as GRUB's own installer does on hard disks.
pub(crate) fn check_the_drive(disk: &File) -> Result<()> {
    disk.write_all_at(&CHECK_THE_DRIVE, DRIVE_CHECK_OFFSET)
        .context("writing GRUB's boot code")
}

/// Runs a program that distributions name differently: by its second name where there is none of the first.
pub(crate) fn with_either_name(names: [&str; 2], run: impl Fn(&str) -> Result<()>) -> Result<()> {
    match run(names[0]) {
        // Only a missing program is a `StageError`; one that fails is not run again under another name.
        Err(error) if error.is::<StageError>() => run(names[1]),
        result => result,
    }
}
