//! What a manifest says about a disk.

use serde::Deserialize;

const DEFAULT_ALIGNMENT: u64 = 1024 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Options {
    pub(super) filename: String,
    pub(super) label: TableKind,
    pub(super) uuid: String,
    #[serde(default = "small_sector")]
    pub(super) sector_size: u64,
    #[serde(default = "default_alignment")]
    pub(super) alignment: u64,
    pub(super) size: Option<u64>,
    pub(super) partitions: Vec<Partition>,
    pub(super) grub: Option<Grub>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum TableKind {
    Gpt,
    Dos,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Partition {
    pub(super) r#type: String,
    pub(super) uuid: Option<String>,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) bootable: bool,
    #[serde(default)]
    pub(super) attrs: Vec<u8>,
    pub(super) size: Option<u64>,
    #[serde(default)]
    pub(super) free: u64,
    #[serde(default)]
    pub(super) grow: bool,
    pub(super) filesystem: Option<FileSystem>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct FileSystem {
    pub(super) r#type: FileSystemKind,
    pub(super) uuid: String,
    pub(super) label: Option<String>,
    pub(super) mountpoint: Option<String>,
    #[serde(default)]
    pub(super) features: Vec<String>,
    pub(super) fat_size: Option<u8>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum FileSystemKind {
    Ext4,
    Btrfs,
    Xfs,
    Fat,
    Swap,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Grub {
    pub(super) platform: String,
    #[serde(default = "grub_path")]
    pub(super) path: String,
}

fn small_sector() -> u64 {
    512
}

fn default_alignment() -> u64 {
    DEFAULT_ALIGNMENT
}

fn grub_path() -> String {
    "/boot/grub".to_owned()
}
