//! What a manifest says about an image.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::filesystem::filled::Kind;

/// The layout is either given in full, or has one file system, with `root_fs_uuid`; the schema sees to it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    /// The schema allows any member; `type` and `platform` mean something.
    pub(super) bootloader: Option<Map<String, Value>>,
    pub(super) format: Format,
    pub(super) qcow2_compat: Option<String>,
    pub(super) qcow2_compression: Option<String>,
    pub(super) vmdk_subformat: Option<String>,
    pub(super) xz_level: Option<u8>,
    pub(super) filename: String,
    pub(super) partitions: Option<Vec<Partition>>,
    pub(super) ptuuid: String,
    pub(super) pttype: Option<TableKind>,
    pub(super) root_fs_uuid: Option<String>,
    #[serde(default)]
    pub(super) root_fs_type: Kind,
    pub(super) size: u64,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) enum Format {
    #[serde(rename = "raw")]
    Raw,
    #[serde(rename = "raw.xz")]
    RawXz,
    #[serde(rename = "qcow2")]
    Qcow2,
    #[serde(rename = "vdi")]
    Vdi,
    #[serde(rename = "vmdk")]
    Vmdk,
    #[serde(rename = "vpc")]
    Vpc,
    #[serde(rename = "vhdx")]
    Vhdx,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum TableKind {
    #[serde(alias = "mbr")]
    Dos,
    Gpt,
}

/// The schema allows other keys; they mean nothing.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Partition {
    #[serde(default)]
    pub(super) bootable: bool,
    pub(super) name: Option<String>,
    /// In sectors.
    pub(super) size: Option<u64>,
    /// In sectors.
    pub(super) start: Option<u64>,
    pub(super) r#type: Option<String>,
    pub(super) uuid: Option<String>,
    pub(super) filesystem: Option<FileSystem>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct FileSystem {
    pub(super) label: Option<String>,
    pub(super) mountpoint: String,
    pub(super) r#type: Kind,
    pub(super) uuid: String,
}

impl TableKind {
    /// Returns sfdisk's name of it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Dos => "dos",
            Self::Gpt => "gpt",
        }
    }
}
