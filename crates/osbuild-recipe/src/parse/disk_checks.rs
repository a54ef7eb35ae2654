//! What must hold between the partitions of a disk.

use std::collections::{HashMap, HashSet};

use super::files::hidden_by;
use crate::problem::{Place, Problems, RecipeError};
use crate::recipe::{Disk, FileSystemKind, PartitionRole, PartitionSize, PartitionTable};
use crate::size::Size;

/// Space for tables at both ends of a disk and alignment.
const TABLE_SPACE: Size = Size::mebibytes(2);
/// Primary partitions of an MBR.
const MAXIMUM_MBR_PARTITIONS: usize = 4;
/// Entries of a GPT as every tool makes them.
const MAXIMUM_GPT_PARTITIONS: usize = 128;

/// Folders without which a system cannot begin to start: what mounts the others is in them. In today's releases some are
/// links into `/usr`.
const NEEDED_TO_START: [&str; 5] = ["/bin", "/etc", "/lib", "/lib64", "/sbin"];

/// Reports every contradiction at the partition that makes it.
pub(super) fn check(disk: &Disk, place: Place, problems: &mut Problems) {
    check_names(disk, problems);
    check_mountpoints(disk, place, problems);
    check_fits(disk, problems);
    check_roles(disk, problems);
    check_space(disk, place, problems);
    if disk.table == PartitionTable::Mbr && disk.partitions.len() > MAXIMUM_MBR_PARTITIONS {
        problems.add(
            RecipeError::new(place, "an MBR has room for four partitions only")
                .hint("write `table: gpt`"),
        );
    }
    if disk.partitions.len() > MAXIMUM_GPT_PARTITIONS {
        let message = format!(
            "a GPT has room for {MAXIMUM_GPT_PARTITIONS} partitions, not {}",
            disk.partitions.len()
        );
        problems.add(RecipeError::new(place, message));
    }
}

fn check_names(disk: &Disk, problems: &mut Problems) {
    let mut seen = HashSet::new();
    for partition in &disk.partitions {
        if !seen.insert(&partition.name) {
            let message = format!("partition `{}` is named twice", partition.name);
            problems.add(RecipeError::new(partition.place, message));
        }
    }
}

fn check_mountpoints(disk: &Disk, place: Place, problems: &mut Problems) {
    let mut seen = HashMap::new();
    for (partition, system) in disk.file_systems() {
        if let Some(first) = seen.insert(system.mountpoint.as_str(), partition) {
            let message = format!(
                "`{}` is the mount point of `{}` and of `{}`",
                system.mountpoint, first.name, partition.name
            );
            problems.add(RecipeError::new(partition.place, message));
        }
        if system.mountpoint == "/" && system.kind == FileSystemKind::Fat {
            let message = "FAT cannot hold a root file system";
            problems.add(RecipeError::new(partition.place, message).hint("use `ext4`"));
        }
        if let Some(message) = unusable_mountpoint(&system.mountpoint) {
            problems.add(RecipeError::new(partition.place, message));
        }
    }
    if !seen.contains_key("/") {
        problems.add(
            RecipeError::new(place, "no partition has the mount point `/`")
                .hint("add one with `mountpoint: /`"),
        );
    }
}

/// Says why nothing of an image can be mounted at a path, if so.
fn unusable_mountpoint(path: &str) -> Option<String> {
    if let Some(folder) = hidden_by(path) {
        return Some(format!(
            "`{path}` can be no mount point: `{folder}` is filled anew whenever the system starts"
        ));
    }
    NEEDED_TO_START
        .contains(&path)
        .then(|| format!("`{path}` can be no mount point: the system needs it to mount anything"))
}

fn check_fits(disk: &Disk, problems: &mut Problems) {
    let mut fitting = disk
        .partitions
        .iter()
        .filter(|partition| matches!(partition.size, PartitionSize::Fit { .. }));
    let first = fitting.next();
    for partition in fitting {
        let first = first.map_or("", |first| first.name.as_str());
        problems.add(
            RecipeError::new(
                partition.place,
                format!(
                    "`{}` and `{first}` both have the size `fit`",
                    partition.name
                ),
            )
            .hint("give all but one a size, like `2 GiB`"),
        );
    }
}

fn check_roles(disk: &Disk, problems: &mut Problems) {
    let mut seen_esp = false;
    for partition in &disk.partitions {
        let is_bios_boot = partition.role == PartitionRole::BiosBoot;
        if is_bios_boot && disk.table == PartitionTable::Mbr {
            problems.add(
                RecipeError::new(partition.place, "an MBR has no BIOS boot partition")
                    .hint("leave it out: GRUB lies before the first partition"),
            );
        }
        let is_esp = matches!(partition.role, PartitionRole::Esp(_));
        if is_esp && seen_esp {
            let message = "a disk has one EFI system partition only";
            problems.add(RecipeError::new(partition.place, message));
        }
        seen_esp |= is_esp;
    }
}

fn check_space(disk: &Disk, place: Place, problems: &mut Problems) {
    let Some(size) = disk.size else { return };
    let needed: u64 = disk
        .partitions
        .iter()
        .map(|partition| match partition.size {
            PartitionSize::Fixed(size) => size.bytes(),
            PartitionSize::Fit { free } => free.bytes(),
        })
        .sum();
    let needed = needed.saturating_add(TABLE_SPACE.bytes());
    if needed > size.bytes() {
        let needed = Size::mebibytes(needed >> 20);
        problems.add(
            RecipeError::new(
                place,
                format!("the partitions need {needed} at least, the disk has {size}"),
            )
            .hint("make `disk.size` larger, or leave it out"),
        );
    }
}
