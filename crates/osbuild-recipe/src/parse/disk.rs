//! Reads `disk`: the partition table, its partitions and their file systems.

use super::boot::Boot;
use super::disk_checks::check;
use super::identity_names::{is_file_name, is_plain_path};
use crate::node::{Node, NodeKind};
use crate::problem::{Place, Problems, RecipeError};
use crate::recipe::{
    Disk, FileSystem, FileSystemKind, Firmware, Output, Partition, PartitionRole, PartitionSize,
    PartitionTable,
};
use crate::section::{Section, Text, wrong_kind};
use crate::size::Size;

/// Space for GRUB's image; it needs some 40 KiB, and partitions begin on whole mebibytes.
const BIOS_BOOT_SIZE: Size = Size::MEBIBYTE;
/// Room for boot loaders; FAT32 needs at least 33 MiB.
const ESP_SIZE: Size = Size::mebibytes(64);
/// Where the EFI system partition is mounted.
const ESP_MOUNTPOINT: &str = "/boot/efi";
/// Space left free in a file system that fits its content, unless told.
const DEFAULT_FREE: Size = Size::mebibytes(256);
/// Longest name in a GPT entry, in UTF-16 units.
const MAXIMUM_GPT_NAME: usize = 36;

const TABLES: [(&str, PartitionTable); 2] =
    [("gpt", PartitionTable::Gpt), ("mbr", PartitionTable::Mbr)];

const KINDS: [(&str, FileSystemKind); 4] = [
    ("ext4", FileSystemKind::Ext4),
    ("xfs", FileSystemKind::Xfs),
    ("btrfs", FileSystemKind::Btrfs),
    ("fat", FileSystemKind::Fat),
];

/// What `type` says a partition is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    FileSystem,
    Esp,
    BiosBoot,
    Swap,
}

const TYPES: [(&str, Type); 4] = [
    ("filesystem", Type::FileSystem),
    ("esp", Type::Esp),
    ("bios-boot", Type::BiosBoot),
    ("swap", Type::Swap),
];

/// The disk of a recipe, when an output needs one.
pub(super) fn disk(
    section: &mut Section<'_>,
    outputs: &[Output],
    boot: Boot,
    problems: &mut Problems,
) -> Option<Disk> {
    let place = section.place();
    let written = section.section("disk", problems);
    let has_section = written.is_some();
    let disk = match written {
        Some(section) => written_disk(section, boot, problems),
        None => whole_disk(
            Vec::new(),
            PartitionTable::Gpt,
            None,
            DEFAULT_FREE,
            boot,
            place,
        ),
    };
    if !outputs.iter().any(|output| output.format.needs_disk()) {
        if has_section {
            problems.add(
                RecipeError::new(place, "the recipe has a `disk` but no output is made of it")
                    .hint("add `qcow2` or `raw` to `outputs`, or leave `disk` out"),
            );
        }
        return None;
    }
    Some(disk)
}

fn written_disk(mut section: Section<'_>, boot: Boot, problems: &mut Problems) -> Disk {
    let place = section.place();
    let table = section.choice("table", &TABLES, problems);
    let disk_size = size(&mut section, "size", problems);
    let free = size(&mut section, "free", problems).unwrap_or(DEFAULT_FREE);
    let partitions: Vec<Partition> = section
        .list("partitions", problems)
        .iter()
        .enumerate()
        .filter_map(|(index, node)| partition(node, index, free, problems))
        .collect();
    let all_read = section.get("partitions").is_none_or(
        |node| matches!(&node.kind, NodeKind::List(list) if list.len() == partitions.len()),
    );
    section.finish(problems);
    let table = table.unwrap_or(PartitionTable::Gpt);
    let disk = whole_disk(partitions, table, disk_size, free, boot, place);
    if all_read {
        check(&disk, place, problems);
    }
    disk
}

/// Adds what the boot loader needs, and a root partition when none at all is written.
fn whole_disk(
    mut partitions: Vec<Partition>,
    table: PartitionTable,
    size: Option<Size>,
    free: Size,
    boot: Boot,
    place: Place,
) -> Disk {
    if partitions.is_empty() {
        partitions.push(root(free, place));
    }
    let has = |wanted: fn(&PartitionRole) -> bool| {
        partitions.iter().any(|partition| wanted(&partition.role))
    };
    let bios = boot.firmware.is_some_and(Firmware::has_bios);
    let uefi = boot.firmware.is_some_and(Firmware::has_uefi);
    let needs_bios_boot =
        bios && table == PartitionTable::Gpt && !has(|role| *role == PartitionRole::BiosBoot);
    let needs_esp = uefi && !has(|role| matches!(role, PartitionRole::Esp(_)));
    let mut added = Vec::new();
    if needs_bios_boot {
        added.push(fixed(
            "bios",
            PartitionRole::BiosBoot,
            BIOS_BOOT_SIZE,
            place,
        ));
    }
    if needs_esp {
        let role = PartitionRole::Esp(file_system(FileSystemKind::Fat, ESP_MOUNTPOINT));
        added.push(fixed("esp", role, ESP_SIZE, place));
    }
    added.append(&mut partitions);
    Disk {
        table,
        size,
        firmware: boot.firmware,
        menu_timeout: boot.menu_timeout,
        partitions: added,
    }
}

fn root(free: Size, place: Place) -> Partition {
    Partition {
        name: "root".to_owned(),
        role: PartitionRole::FileSystem(file_system(FileSystemKind::Ext4, "/")),
        size: PartitionSize::Fit { free },
        place,
    }
}

fn fixed(name: &str, role: PartitionRole, size: Size, place: Place) -> Partition {
    Partition {
        name: name.to_owned(),
        role,
        size: PartitionSize::Fixed(size),
        place,
    }
}

fn file_system(kind: FileSystemKind, mountpoint: &str) -> FileSystem {
    FileSystem {
        kind,
        mountpoint: mountpoint.to_owned(),
        label: None,
        options: None,
    }
}

fn partition(
    node: &Node,
    index: usize,
    disk_free: Size,
    problems: &mut Problems,
) -> Option<Partition> {
    let mut section = Section::open(node, "disk.partitions", problems)?;
    let place = section.place();
    let kind = section.choice("type", &TYPES, problems);
    let has_unknown_type = section.get("type").is_some() && kind.is_none();
    let kind = kind.unwrap_or(Type::FileSystem);
    let name = section.text("name", problems);
    let written_size = partition_size(&mut section, kind, disk_free, problems);
    let role = match kind {
        Type::BiosBoot => Some(PartitionRole::BiosBoot),
        Type::Swap => Some(PartitionRole::Swap),
        Type::Esp => Some(PartitionRole::Esp(esp(&mut section, problems))),
        Type::FileSystem => {
            written_file_system(&mut section, problems).map(PartitionRole::FileSystem)
        }
    };
    section.finish(problems);
    if has_unknown_type {
        return None;
    }
    let role = role?;
    Some(Partition {
        name: match name {
            Some(name) => checked_name(name, problems),
            None => usual_name(&role, index),
        },
        role,
        size: written_size?,
        place,
    })
}

fn checked_name(name: Text, problems: &mut Problems) -> String {
    if !is_file_name(&name.value) || name.value.len() > MAXIMUM_GPT_NAME {
        problems.add(
            RecipeError::new(
                name.place,
                format!("`{}` is no name for a partition", name.value),
            )
            .hint("use up to 36 letters, digits, `.`, `_` and `-`"),
        );
    }
    name.value
}

/// A partition without a name is called after what it is for.
fn usual_name(role: &PartitionRole, index: usize) -> String {
    match role {
        PartitionRole::BiosBoot => "bios".to_owned(),
        PartitionRole::Esp(_) => "esp".to_owned(),
        PartitionRole::Swap => "swap".to_owned(),
        PartitionRole::FileSystem(system) if system.mountpoint == "/" => "root".to_owned(),
        PartitionRole::FileSystem(system) => {
            let name = system.mountpoint.trim_matches('/').replace('/', "-");
            if name.is_empty() || name.len() > MAXIMUM_GPT_NAME {
                format!("partition-{}", index + 1)
            } else {
                name
            }
        }
    }
}

/// `size` is a size or `fit`; `free` goes with `fit` only.
fn partition_size(
    section: &mut Section<'_>,
    kind: Type,
    disk_free: Size,
    problems: &mut Problems,
) -> Option<PartitionSize> {
    let node = section.get("size");
    let is_fit =
        node.is_none_or(|node| matches!(&node.kind, NodeKind::Text(text) if text == "fit"));
    let free_place = section.get("free").map(|node| node.place);
    let free = size(section, "free", problems);
    if !is_fit {
        if let Some(place) = free_place {
            problems.add(
                RecipeError::new(place, "`free` has no meaning beside a fixed `size`")
                    .hint("write `size: fit`, or leave `free` out"),
            );
        }
        return size(section, "size", problems).map(PartitionSize::Fixed);
    }
    match (kind, node) {
        (Type::FileSystem, _) => Some(PartitionSize::Fit {
            free: free.unwrap_or(disk_free),
        }),
        (Type::BiosBoot, None) => Some(PartitionSize::Fixed(BIOS_BOOT_SIZE)),
        (Type::Esp, None) => Some(PartitionSize::Fixed(ESP_SIZE)),
        _ => {
            let place = node.map_or(section.place(), |node| node.place);
            problems.add(
                RecipeError::new(place, "this type of partition needs a fixed `size`")
                    .hint("like `512 MiB`"),
            );
            None
        }
    }
}

fn esp(section: &mut Section<'_>, problems: &mut Problems) -> FileSystem {
    let mountpoint = mountpoint(section, problems);
    let label = label(section, FileSystemKind::Fat, problems);
    let options = options(section, problems);
    FileSystem {
        kind: FileSystemKind::Fat,
        mountpoint: mountpoint.unwrap_or_else(|| ESP_MOUNTPOINT.to_owned()),
        label,
        options,
    }
}

fn written_file_system(section: &mut Section<'_>, problems: &mut Problems) -> Option<FileSystem> {
    let written_kind = section.choice("filesystem", &KINDS, problems);
    let kind = written_kind.unwrap_or(FileSystemKind::Ext4);
    section.require("mountpoint", problems);
    let mountpoint = mountpoint(section, problems);
    let label = label(section, kind, problems);
    let options = options(section, problems);
    Some(FileSystem {
        kind,
        mountpoint: mountpoint?,
        label,
        options,
    })
}

fn mountpoint(section: &mut Section<'_>, problems: &mut Problems) -> Option<String> {
    let text = section.text("mountpoint", problems)?;
    if is_plain_path(&text.value) && !text.value.contains([' ', '\t', '\\']) {
        return Some(text.value);
    }
    problems.add(
        RecipeError::new(text.place, format!("`{}` is no mount point", text.value))
            .hint("write an absolute path, like `/` or `/boot`"),
    );
    None
}

fn label(
    section: &mut Section<'_>,
    kind: FileSystemKind,
    problems: &mut Problems,
) -> Option<String> {
    let text = section.text("label", problems)?;
    let limit = match kind {
        FileSystemKind::Ext4 => 16,
        FileSystemKind::Xfs => 12,
        FileSystemKind::Btrfs => 255,
        FileSystemKind::Fat => 11,
    };
    let is_plain = text
        .value
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if text.value.is_empty() || text.value.len() > limit || !is_plain {
        let message = format!("`{}` is no label for {}", text.value, kind.word());
        problems.add(RecipeError::new(text.place, message).hint(format!(
            "use up to {limit} letters, digits, `.`, `_` and `-`"
        )));
    }
    Some(text.value)
}

fn options(section: &mut Section<'_>, problems: &mut Problems) -> Option<String> {
    let text = section.text("options", problems)?;
    if text.value.is_empty() || text.value.contains(char::is_whitespace) {
        problems.add(
            RecipeError::new(
                text.place,
                "`disk.partitions.options` has spaces or is empty",
            )
            .hint("separate mount options by commas, like `noatime,nodev`"),
        );
    }
    Some(text.value)
}

/// A size of whole mebibytes, on which partitions are aligned.
fn size(section: &mut Section<'_>, key: &'static str, problems: &mut Problems) -> Option<Size> {
    let node = section.get(key)?;
    let title = format!("disk … {key}");
    let error = match &node.kind {
        NodeKind::Text(text) => match Size::parse(text) {
            Ok(size) if size.bytes() % Size::MEBIBYTE.bytes() != 0 => {
                RecipeError::new(node.place, format!("`{text}` is not a whole number of MiB"))
            }
            Ok(size) if size.bytes() == 0 && key != "free" => {
                RecipeError::new(node.place, format!("`{key}` is nothing"))
            }
            Ok(size) => return Some(size),
            Err(advice) => {
                RecipeError::new(node.place, format!("`{text}` is not a size")).hint(advice)
            }
        },
        NodeKind::Integer(number) => {
            RecipeError::new(node.place, format!("`{number}` is not a size"))
                .hint(format!("add a unit, like `{number} MiB`"))
        }
        other => wrong_kind(&title, "a size", other, node.place),
    };
    problems.add(error);
    None
}
