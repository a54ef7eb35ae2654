//! The pipeline `disk`: partition table, file systems filled from the tree, GRUB for BIOS.

use serde_json::{Map, Value, json};

use super::fstab::file_system_id;
use super::identifiers::Identifiers;
use super::stage::{stage_with_inputs, tree_input};
use super::system;
use crate::distribution::Architecture;
use crate::recipe::{
    Disk, FileSystem, OutputFormat, Partition, PartitionRole, PartitionSize, PartitionTable, Recipe,
};

/// Name of the pipeline.
pub(super) const PIPELINE: &str = "disk";

/// Name of the image when no output gives it one.
const DEFAULT_FILE_NAME: &str = "disk.raw";

/// Types of partitions in a GPT, from the UEFI and the Discoverable Partitions specifications.
mod gpt_type {
    pub(super) const BIOS_BOOT: &str = "21686148-6449-6E6F-744E-656564454649";
    pub(super) const ESP: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
    pub(super) const LINUX: &str = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";
    pub(super) const ROOT_AMD64: &str = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709";
    pub(super) const ROOT_ARM64: &str = "B921B045-1DF0-41C3-AF44-4C6F280D3FAE";
    pub(super) const SWAP: &str = "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F";
}

/// Types of partitions in an MBR.
mod mbr_type {
    pub(super) const ESP: &str = "ef";
    pub(super) const LINUX: &str = "83";
    pub(super) const SWAP: &str = "82";
}

/// The image's name in the pipeline's tree: that of the `raw` output, when there is one.
pub(super) fn file_name(recipe: &Recipe) -> String {
    recipe
        .outputs
        .iter()
        .find(|output| output.format == OutputFormat::Raw)
        .map_or_else(
            || DEFAULT_FILE_NAME.to_owned(),
            |output| output.file_name.clone(),
        )
}

/// The stage that makes the disk image.
pub(super) fn stage(recipe: &Recipe, disk: &Disk) -> Value {
    let identifiers = Identifiers::of(recipe);
    let partitions: Vec<Value> = disk
        .partitions
        .iter()
        .map(|partition| partition_json(recipe, disk, partition, &identifiers))
        .collect();
    let (label, uuid) = match disk.table {
        PartitionTable::Gpt => ("gpt", identifiers.disk().to_string()),
        PartitionTable::Mbr => ("dos", identifiers.mbr_disk()),
    };
    let mut options = json!({
        "filename": file_name(recipe),
        "label": label,
        "uuid": uuid,
        "partitions": partitions,
    });
    if let Some(size) = disk.size {
        options["size"] = json!(size.bytes());
    }
    if disk.has_bios() {
        options["grub"] = json!({ "platform": "i386-pc" });
    }
    let inputs = json!({ "tree": tree_input(system::PIPELINE) });
    stage_with_inputs("org.osbuild.disk", inputs, options)
}

fn partition_json(
    recipe: &Recipe,
    disk: &Disk,
    partition: &Partition,
    identifiers: &Identifiers,
) -> Value {
    let mut json = Map::new();
    let is_root = is_mounted_at(partition, "/");
    match disk.table {
        PartitionTable::Gpt => {
            let kind = gpt_type_of(partition, recipe.architecture);
            json.insert("type".to_owned(), json!(kind));
            let uuid = identifiers.partition(partition).to_string();
            json.insert("uuid".to_owned(), json!(uuid));
            json.insert("name".to_owned(), json!(partition.name));
        }
        PartitionTable::Mbr => {
            json.insert("type".to_owned(), json!(mbr_type_of(partition)));
            // Some BIOSes start no disk without an active partition.
            if is_root && disk.has_bios() {
                json.insert("bootable".to_owned(), json!(true));
            }
        }
    }
    match partition.size {
        PartitionSize::Fixed(size) => {
            json.insert("size".to_owned(), json!(size.bytes()));
        }
        PartitionSize::Fit { free } => {
            json.insert("free".to_owned(), json!(free.bytes()));
            if disk.size.is_some() {
                json.insert("grow".to_owned(), json!(true));
            }
        }
    }
    let content = match &partition.role {
        PartitionRole::BiosBoot => None,
        PartitionRole::Swap => {
            let uuid = identifiers.swap(partition).to_string();
            Some(json!({ "type": "swap", "uuid": uuid }))
        }
        PartitionRole::Esp(system) | PartitionRole::FileSystem(system) => {
            Some(file_system(system, identifiers))
        }
    };
    if let Some(content) = content {
        json.insert("filesystem".to_owned(), content);
    }
    Value::Object(json)
}

fn file_system(system: &FileSystem, identifiers: &Identifiers) -> Value {
    let mut json = json!({
        "type": system.kind.word(),
        "uuid": file_system_id(system, identifiers),
        "mountpoint": system.mountpoint,
    });
    if let Some(label) = &system.label {
        json["label"] = json!(label);
    }
    json
}

fn is_mounted_at(partition: &Partition, mountpoint: &str) -> bool {
    let system = partition.role.file_system();
    system.is_some_and(|system| system.mountpoint == mountpoint)
}

fn gpt_type_of(partition: &Partition, architecture: Architecture) -> &'static str {
    match (&partition.role, architecture) {
        (PartitionRole::BiosBoot, _) => gpt_type::BIOS_BOOT,
        (PartitionRole::Esp(_), _) => gpt_type::ESP,
        (PartitionRole::Swap, _) => gpt_type::SWAP,
        (_, Architecture::Amd64) if is_mounted_at(partition, "/") => gpt_type::ROOT_AMD64,
        (_, Architecture::Arm64) if is_mounted_at(partition, "/") => gpt_type::ROOT_ARM64,
        (PartitionRole::FileSystem(_), _) => gpt_type::LINUX,
    }
}

fn mbr_type_of(partition: &Partition) -> &'static str {
    match &partition.role {
        PartitionRole::Esp(_) => mbr_type::ESP,
        PartitionRole::Swap => mbr_type::SWAP,
        PartitionRole::FileSystem(_) | PartitionRole::BiosBoot => mbr_type::LINUX,
    }
}
