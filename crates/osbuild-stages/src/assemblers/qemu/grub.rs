//! Installing GRUB: a core image that finds the rest of it by the number of the partition.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use osbuild_stage_api::{StageContext, StageError};

use super::options::TableKind;
use super::table::Table;
use crate::shared::filesystem::extent::Extent;
use crate::shared::filesystem::filled::{Kind, SECTOR};
use crate::shared::grub_bios;

pub(super) const BIOS: &str = "i386-pc";
const OPEN_FIRMWARE: &str = "powerpc-ieee1275";
/// Fedora's name of the program, which is the default; Debian has the second.
const MKIMAGE: [&str; 2] = ["grub2-mkimage", "grub-mkimage"];
/// GRUB's directory in the tree, where upstream's assembler expects it, also on distributions that have it in `/boot/grub`.
const DIRECTORY: &str = "/boot/grub2";

/// Makes the core image and installs it.
pub(super) fn install(
    context: &StageContext,
    image: &Path,
    table: &Table,
    platform: &str,
) -> Result<()> {
    let core = make_core(context, table, platform)?;
    let disk: File = fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .open(image)?
        .into();
    let room = room(table, platform)?;
    ensure!(
        core.len() as u64 <= room.length,
        "GRUB's core image has {} bytes, but there is room for {}",
        core.len(),
        room.length
    );
    let location = room.start / SECTOR;
    grub_bios::write_core(&disk, &core, location, SECTOR)?;
    if platform == BIOS {
        let boot = fs_err::read(format!("/usr/lib/grub/{platform}/boot.img"))?;
        grub_bios::write_boot_code(&disk, &boot, location, SECTOR)?;
    }
    Ok(())
}

/// Where the core image goes: Open Firmware starts a partition, BIOS code reads from one of its own on a GPT disk, else
/// from between the MBR and the first partition.
fn room(table: &Table, platform: &str) -> Result<Extent> {
    if platform == OPEN_FIRMWARE {
        return Ok(table.prep().context("PrEP partition missing")?.extent);
    }
    if table.kind == TableKind::Gpt {
        let partition = table.bios_boot().context("BIOS-boot partition missing")?;
        return Ok(partition.extent);
    }
    let first = table
        .partitions
        .first()
        .context("there is no partition, so no gap before it")?;
    Ok(Extent {
        start: SECTOR,
        length: first.extent.start.saturating_sub(SECTOR),
    })
}

fn make_core(context: &StageContext, table: &Table, platform: &str) -> Result<Vec<u8>> {
    let missing = || StageError::new("RuntimeError", "Failed to find boot_part");
    let (partition, system) = table.boot().ok_or_else(missing)?;
    let mut modules = Vec::new();
    if platform == BIOS {
        modules.push("biosdisk");
    }
    let label = match table.kind {
        TableKind::Dos => "msdos",
        TableKind::Gpt => "gpt",
    };
    let table_module = format!("part_{label}");
    modules.push(&table_module);
    modules.push(match system.r#type {
        Kind::Ext4 => "ext2",
        Kind::Xfs => "xfs",
        Kind::Btrfs => "btrfs",
        Kind::Vfat => bail!("unknown boot filesystem type: 'vfat'"),
    });
    let identifier = format!("{label}{}", partition.number);
    context.log(format_args!("grub2 prefix {identifier}"));
    let path = match system.mountpoint.as_str() {
        "/boot" => DIRECTORY.trim_start_matches("/boot/"),
        _ => DIRECTORY.trim_start_matches('/'),
    };
    let directory = tempfile::tempdir().context("making a temporary directory")?;
    let core = directory.path().join("grub2-core.img");
    grub_bios::with_either_name(MKIMAGE, |program| {
        context
            .command(program)
            .args(["--verbose", "--directory"])
            .arg(format!("/usr/lib/grub/{platform}"))
            .arg("--prefix")
            .arg(format!("(,{identifier})/{path}"))
            .args(["--format", platform, "--compression", "auto", "--output"])
            .arg(&core)
            .args(&modules)
            .run()
    })?;
    Ok(fs_err::read(core)?)
}
