//! The partition table: written by `sfdisk`, which also places what has no place.

use std::path::Path;

use anyhow::{Context, Result};
use osbuild_stage_api::{StageContext, StageError};
use serde::Deserialize;

use super::options::{FileSystem, Options, Partition, TableKind};
use crate::shared::filesystem::extent::Extent;
use crate::shared::filesystem::filled::SECTOR;

/// What a disk with one file system has it in.
const LINUX: &str = "83";
const BIOS_BOOT: &str = "21686148-6449-6E6F-744E-656564454649";
const PREP_DOS: &str = "41";
const PREP_GPT: &str = "9E1A2D38-C612-4316-AA26-8B49521E5A8B";

/// A table as it is on the disk.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) kind: TableKind,
    pub(super) partitions: Vec<Placed>,
}

/// A partition on the disk.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    /// Counted from one.
    pub(super) number: usize,
    pub(super) extent: Extent,
    kind: String,
    pub(super) filesystem: Option<FileSystem>,
}

/// What `sfdisk --json` says, as far as it matters.
#[derive(Debug, Deserialize)]
struct Written {
    partitiontable: WrittenTable,
}

#[derive(Debug, Deserialize)]
struct WrittenTable {
    #[serde(default)]
    partitions: Vec<WrittenPartition>,
}

#[derive(Debug, Deserialize)]
struct WrittenPartition {
    start: u64,
    size: u64,
    r#type: Option<String>,
}

/// Returns the partitions of an image: those of the manifest, or the one of the short form.
pub(super) fn partitions(options: &Options) -> Result<Vec<Partition>> {
    if let Some(partitions) = &options.partitions {
        return Ok(partitions.clone());
    }
    let uuid = options
        .root_fs_uuid
        .clone()
        .ok_or_else(|| StageError::new("KeyError", "'root_fs_uuid'"))?;
    Ok(vec![Partition {
        bootable: true,
        r#type: Some(LINUX.to_owned()),
        filesystem: Some(FileSystem {
            label: None,
            mountpoint: "/".to_owned(),
            r#type: options.root_fs_type,
            uuid,
        }),
        ..Partition::default()
    }])
}

/// Writes the table to the image.
pub(super) fn write(
    context: &StageContext,
    image: &Path,
    kind: TableKind,
    uuid: &str,
    partitions: &[Partition],
) -> Result<Table> {
    let script = script(kind, uuid, partitions);
    context.log(&script);
    context
        .command("sfdisk")
        .arg("-q")
        .arg(image)
        .input(script)
        .run()?;
    let written = context.command("sfdisk").arg("--json").arg(image).read()?;
    let written: Written =
        serde_json::from_slice(&written).context("reading the table that sfdisk wrote")?;
    let written = written.partitiontable.partitions;
    if written.len() != partitions.len() {
        let text = format!(
            "the table has {} partitions, not {}",
            written.len(),
            partitions.len()
        );
        return Err(StageError::new("AssertionError", text).into());
    }
    let placed = partitions.iter().zip(written).enumerate();
    Ok(Table {
        kind,
        partitions: placed
            .map(|(index, (partition, written))| Placed {
                number: index + 1,
                extent: Extent {
                    start: written.start * SECTOR,
                    length: written.size * SECTOR,
                },
                kind: written.r#type.unwrap_or_default(),
                filesystem: partition.filesystem.clone(),
            })
            .collect(),
    })
}

/// Spells the table in sfdisk's own language.
fn script(kind: TableKind, uuid: &str, partitions: &[Partition]) -> String {
    let lines = partitions.iter().map(|partition| {
        let number = |value: Option<u64>| value.filter(|value| *value != 0);
        let number = |value| number(value).map(|value| value.to_string());
        let fields = [
            ("start", number(partition.start)),
            ("size", number(partition.size)),
            ("type", partition.r#type.clone()),
            ("name", partition.name.clone()),
            ("uuid", partition.uuid.clone()),
        ];
        let mut words: Vec<_> = fields
            .into_iter()
            .filter_map(|(name, value)| {
                let value = value.filter(|value| !value.is_empty())?;
                Some(format!("{name}=\"{value}\""))
            })
            .collect();
        if partition.bootable {
            words.push("bootable".to_owned());
        }
        format!("\n{}", words.join(", "))
    });
    format!(
        "label: {}\nlabel-id: {uuid}{}",
        kind.name(),
        lines.collect::<String>()
    )
}

impl Table {
    /// Returns the partitions that have a file system, outer mount points before inner ones.
    pub(super) fn mounted(&self) -> Vec<(&Placed, &FileSystem)> {
        let mut mounted: Vec<_> = self
            .partitions
            .iter()
            .filter_map(|partition| Some((partition, partition.filesystem.as_ref()?)))
            .collect();
        mounted.sort_by_key(|(_, system)| system.mountpoint.len());
        mounted
    }

    /// Returns the partition that holds `/boot`.
    pub(super) fn boot(&self) -> Option<(&Placed, &FileSystem)> {
        let mounted = self.mounted();
        let on = |path: &str| {
            let found = mounted.iter().find(|(_, system)| system.mountpoint == path);
            found.copied()
        };
        on("/boot").or_else(|| on("/"))
    }

    /// Returns the partition for GRUB's core image on a GPT disk.
    pub(super) fn bios_boot(&self) -> Option<&Placed> {
        self.of_type(BIOS_BOOT)
    }

    /// Returns the partition that Open Firmware starts.
    pub(super) fn prep(&self) -> Option<&Placed> {
        self.of_type(match self.kind {
            TableKind::Dos => PREP_DOS,
            TableKind::Gpt => PREP_GPT,
        })
    }

    fn of_type(&self, kind: &str) -> Option<&Placed> {
        self.partitions
            .iter()
            .find(|partition| partition.kind.eq_ignore_ascii_case(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_spells_every_field() {
        let partitions = [
            Partition {
                bootable: true,
                name: Some("a name".to_owned()),
                size: Some(2048),
                start: Some(4096),
                r#type: Some("83".to_owned()),
                uuid: Some("u".to_owned()),
                filesystem: None,
            },
            Partition {
                size: Some(0),
                name: Some(String::new()),
                ..Partition::default()
            },
        ];
        assert_eq!(
            script(TableKind::Gpt, "id", &partitions),
            "label: gpt\nlabel-id: id\n\
             start=\"4096\", size=\"2048\", type=\"83\", name=\"a name\", uuid=\"u\", bootable\n"
        );
    }
}
