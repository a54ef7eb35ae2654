//! The boot menu in the system's tree.

use serde_json::{Value, json};

use super::fstab::file_system_id;
use super::identifiers::Identifiers;
use super::stage::stage;
use crate::recipe::{Disk, FileSystem, PartitionRole, Recipe};

/// Speed of a serial console that names none, as the kernel has it.
const DEFAULT_SERIAL_SPEED: u32 = 9600;

/// The stage that writes the boot menu; none for systems that do not start from a disk.
pub(super) fn menu(recipe: &Recipe, identifiers: &Identifiers) -> Option<Value> {
    let disk = recipe
        .disk
        .as_ref()
        .filter(|disk| disk.firmware.is_some())?;
    let root = mounted_at(disk, "/")?;
    let arguments = recipe
        .kernel
        .as_ref()
        .map_or(&[][..], |kernel| kernel.command_line.as_slice());
    let mut options = json!({
        "root_fs_uuid": file_system_id(root, identifiers),
        "kernel_opts": arguments.join(" "),
        "platforms": platforms(disk),
        "timeout": disk.menu_timeout,
    });
    if let Some(boot) = mounted_at(disk, "/boot") {
        options["boot_fs_uuid"] = json!(file_system_id(boot, identifiers));
    }
    if let Some(esp) = esp(disk) {
        options["esp"] = json!(esp.mountpoint);
    }
    if let Some((unit, speed)) = arguments.iter().rev().find_map(|argument| serial(argument)) {
        options["serial"] = json!({ "unit": unit, "speed": speed });
    }
    Some(stage("org.osbuild.grub2.debian", options))
}

fn mounted_at<'a>(disk: &'a Disk, mountpoint: &str) -> Option<&'a FileSystem> {
    disk.file_systems()
        .map(|(_, system)| system)
        .find(|system| system.mountpoint == mountpoint)
}

fn esp(disk: &Disk) -> Option<&FileSystem> {
    disk.partitions
        .iter()
        .find_map(|partition| match &partition.role {
            PartitionRole::Esp(system) => Some(system),
            _ => None,
        })
}

fn platforms(disk: &Disk) -> Vec<&'static str> {
    let mut platforms = Vec::new();
    if disk.has_bios() {
        platforms.push("i386-pc");
    }
    if disk.has_uefi() {
        platforms.push("x86_64-efi");
    }
    platforms
}

/// Port and speed of `console=ttyS0,115200n8`.
fn serial(argument: &str) -> Option<(u32, u32)> {
    let port = argument.strip_prefix("console=ttyS")?;
    let (unit, settings) = port.split_once(',').unwrap_or((port, ""));
    let digits = settings.split(|c: char| !c.is_ascii_digit()).next();
    let speed = digits.and_then(|digits| digits.parse().ok());
    Some((unit.parse().ok()?, speed.unwrap_or(DEFAULT_SERIAL_SPEED)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_consoles_are_told_from_others() {
        for (argument, expected) in [
            ("console=ttyS0", Some((0, 9600))),
            ("console=ttyS1,115200n8", Some((1, 115_200))),
            ("console=tty0", None),
            ("console=ttySx", None),
            ("quiet", None),
        ] {
            assert_eq!(serial(argument), expected, "{argument}");
        }
    }
}
