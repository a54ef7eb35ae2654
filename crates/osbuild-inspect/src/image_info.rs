//! The report of upstream's `osbuild-image-info`: same keys and values, read without mounting.

mod links;
mod services;
mod subscription;
mod syntax;
pub(crate) mod system;

use std::io::{Read as _, Seek as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use osbuild_manifest::value::Value as PythonValue;
use serde_json::{Map, Value, json};

use crate::subject::{Digests, Subject, check_kind};
use crate::{archive, disk};

/// Partition tables count in these where sfdisk(8) does not say otherwise.
const SECTOR: u64 = 512;

/// The file that an archive for Google's cloud consists of.
const DISK_IN_ARCHIVE: &str = "disk.raw";

/// Reports what a directory, archive or disk image holds: JSON by upstream's keys, sorted, indented by two.
///
/// # Errors
/// It can not be read, is damaged, or tells nothing; a program that reads part of it is missing: `qemu-img` for
/// formats other than raw, `sfdisk` and `blkid` for partitions, `rpm` for its database, `systemctl` for units.
pub fn image_info(path: &Path) -> Result<String> {
    let mut report = Map::new();
    if is_disk(path)? {
        let raw = disk::RawImage::open(path)?;
        report.insert("image-format".to_owned(), image_format(path, &raw)?);
        add_disk(&mut report, raw.path()).with_context(|| format!("reading {}", path.display()))?;
        let subject = Subject::read_with(raw.path(), Digests::Unwanted)?;
        system::add(&mut report, &subject.tree)?;
        anyhow::ensure!(
            report.contains_key("os-release") || is_known(&report),
            "{}: neither an image of a disk or file system, nor an archive",
            path.display()
        );
    } else {
        let subject = Subject::read(path)?;
        let has_disk = subject
            .tree
            .entries
            .contains_key(Path::new(DISK_IN_ARCHIVE));
        anyhow::ensure!(
            !has_disk || path.is_dir(),
            "{}: unpack the archive, and name the {DISK_IN_ARCHIVE} in it",
            path.display()
        );
        system::add(&mut report, &subject.tree)?;
    }
    anyhow::ensure!(
        !report.is_empty(),
        "{}: no system was found in it",
        path.display()
    );
    let mut report = Value::Object(report);
    report.sort_all_objects();
    let report = PythonValue::from_json(&report.to_string()).context("writing the report")?;
    Ok(report.to_indented_python_json(2))
}

fn is_disk(path: &Path) -> Result<bool> {
    check_kind(path)?;
    let mut file = fs_err::File::open(path)?;
    Ok(!file.metadata()?.is_dir() && !archive::is_archive(&mut file)?)
}

/// Tells whether an image has a partition table, or a file system that has a name.
fn is_known(report: &Map<String, Value>) -> bool {
    let partitions = report.get("partitions").and_then(Value::as_array);
    report.get("partition-table").is_some_and(Value::is_string)
        || partitions
            .into_iter()
            .flatten()
            .any(|partition| partition["fstype"].is_string())
}

fn image_format(path: &Path, raw: &disk::RawImage) -> Result<Value> {
    if !raw.is_converted() {
        return Ok(json!({"type": "raw"}));
    }
    let path = std::path::absolute(path)?;
    let told = run(Command::new("qemu-img")
        .args(["info", "--output=json"])
        .arg(path))?
    .context("qemu-img does not know the image")?;
    let told: Value = serde_json::from_str(&told).context("reading what qemu-img told")?;
    let mut format = json!({"type": told["format"]});
    if told["format"] == "qcow2" {
        format["compat"] = told["format-specific"]["data"]["compat"].clone();
    }
    Ok(format)
}

fn add_disk(report: &mut Map<String, Value>, raw: &Path) -> Result<()> {
    let mut file = fs_err::File::open(raw)?;
    let size = file.seek(std::io::SeekFrom::End(0))?;
    file.rewind()?;
    let mut sector = Vec::new();
    file.take(SECTOR).read_to_end(&mut sector)?;
    let has_grub = sector.windows(4).any(|bytes| bytes == b"GRUB");
    let bootloader = if has_grub { "grub" } else { "unknown" };
    report.insert("bootloader".to_owned(), json!(bootloader));
    let table = run(Command::new("sfdisk").arg("--json").arg(raw))?;
    let table: Value = match table {
        None => Value::Null,
        Some(text) => serde_json::from_str(&text).context("reading what sfdisk told")?,
    };
    let table = &table["partitiontable"];
    let mut partitions = Vec::new();
    if table.is_null() {
        let mut partition = Map::new();
        add_file_system(&mut partition, raw, 0, size)?;
        partitions.push(Value::Object(partition));
    }
    let sector = table["sectorsize"].as_u64().unwrap_or(SECTOR);
    for (index, entry) in table["partitions"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        partitions.push(partition(table, index + 1, entry, raw, sector)?);
    }
    partitions.sort_by_key(|partition| partition["partuuid"].to_string());
    report.insert("partitions".to_owned(), json!(partitions));
    report.insert("partition-table".to_owned(), table["label"].clone());
    report.insert("partition-table-id".to_owned(), table["id"].clone());
    Ok(())
}

fn partition(
    table: &Value,
    number: usize,
    entry: &Value,
    raw: &Path,
    sector: u64,
) -> Result<Value> {
    let bytes = |key: &str| {
        let sectors = entry[key].as_u64()?;
        sectors.checked_mul(sector)
    };
    let start = bytes("start").context("a partition without a start")?;
    let size = bytes("size").context("a partition without a size")?;
    let uuid = match (&entry["uuid"], table["label"].as_str()) {
        // What udev calls a partition of an MBR: the disk's number, then its own.
        (Value::Null, Some("dos")) => {
            let disk = table["id"].as_str().unwrap_or_default();
            json!(format!("{}-{number:02x}", disk.trim_start_matches("0x")))
        }
        (uuid, _) => uuid.clone(),
    };
    let mut partition = Map::new();
    partition.insert(
        "bootable".to_owned(),
        json!(entry["bootable"].as_bool().unwrap_or_default()),
    );
    partition.insert("type".to_owned(), entry["type"].clone());
    partition.insert("start".to_owned(), json!(start));
    partition.insert("size".to_owned(), json!(size));
    partition.insert("partuuid".to_owned(), uuid);
    add_file_system(&mut partition, raw, start, size)?;
    Ok(Value::Object(partition))
}

fn add_file_system(
    partition: &mut Map<String, Value>,
    raw: &Path,
    start: u64,
    size: u64,
) -> Result<()> {
    let told = run(Command::new("blkid")
        .args(["--probe", "--output", "export"])
        .args(["--offset", &start.to_string(), "--size", &size.to_string()])
        .arg(raw))?;
    let told = syntax::variables(&told.unwrap_or_default());
    for (name, key) in [("fstype", "TYPE"), ("label", "LABEL"), ("uuid", "UUID")] {
        partition.insert(name.to_owned(), told.get(key).cloned().unwrap_or_default());
    }
    Ok(())
}

/// Gives what a program wrote, none if it failed: sfdisk and blkid fail where there is nothing to tell.
fn run(command: &mut Command) -> Result<Option<String>> {
    let output = command
        .stdin(Stdio::null())
        .env("LC_ALL", "C")
        .output()
        .with_context(|| format!("starting {}", command.get_program().display()))?;
    if !output.status.success() {
        tracing::debug!(
            "{}: {}",
            command.get_program().display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
}
