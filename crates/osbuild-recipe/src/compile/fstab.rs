//! `/etc/fstab` of a system on a disk.

use serde_json::{Value, json};

use super::identifiers::Identifiers;
use super::stage;
use crate::recipe::{FileSystem, FileSystemKind, PartitionRole, Recipe};

/// The stage that writes the table; none for systems without a disk.
pub(super) fn stage(recipe: &Recipe, identifiers: &Identifiers) -> Option<Value> {
    let disk = recipe.disk.as_ref()?;
    let mut systems: Vec<(&FileSystem, bool)> = disk
        .partitions
        .iter()
        .filter_map(|partition| {
            let is_esp = matches!(partition.role, PartitionRole::Esp(_));
            Some((partition.role.file_system()?, is_esp))
        })
        .collect();
    // A mount point inside another file system comes after it.
    systems.sort_by_key(|(system, _)| depth(&system.mountpoint));
    let mut entries: Vec<Value> = systems
        .iter()
        .map(|(system, is_esp)| entry(system, *is_esp, identifiers))
        .collect();
    for partition in &disk.partitions {
        if partition.role == PartitionRole::Swap {
            entries.push(json!({
                "uuid": identifiers.swap(partition).to_string(),
                "path": "none",
                "vfs_type": "swap",
                "options": "sw",
            }));
        }
    }
    Some(stage::stage(
        "org.osbuild.fstab",
        json!({ "filesystems": entries }),
    ))
}

fn depth(mountpoint: &str) -> usize {
    mountpoint
        .split('/')
        .filter(|part| !part.is_empty())
        .count()
}

fn entry(system: &FileSystem, is_esp: bool, identifiers: &Identifiers) -> Value {
    let is_root = system.mountpoint == "/";
    let (kind, usual_options, check_order) = match system.kind {
        FileSystemKind::Ext4 if is_root => ("ext4", "errors=remount-ro", 1),
        FileSystemKind::Ext4 => ("ext4", "defaults", 2),
        FileSystemKind::Xfs => ("xfs", "defaults", 0),
        FileSystemKind::Btrfs => ("btrfs", "defaults", 0),
        FileSystemKind::Fat if is_esp => ("vfat", "umask=0077", 0),
        FileSystemKind::Fat => ("vfat", "defaults", 0),
    };
    json!({
        "uuid": file_system_id(system, identifiers),
        "path": system.mountpoint,
        "vfs_type": kind,
        "options": system.options.as_deref().unwrap_or(usual_options),
        "freq": 0,
        "passno": check_order,
    })
}

/// The UUID of a file system as `/dev/disk/by-uuid` shows it.
pub(super) fn file_system_id(system: &FileSystem, identifiers: &Identifiers) -> String {
    if system.kind == FileSystemKind::Fat {
        let serial = identifiers.fat_serial(&system.mountpoint);
        format!("{}-{}", &serial[..4], &serial[4..])
    } else {
        identifiers.file_system(&system.mountpoint).to_string()
    }
}
