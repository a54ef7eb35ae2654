//! `org.osbuild.loopback`: a file of the tree, or a part of it, as a block device.
//!
//! Nothing here waits for udev, and partitions do not depend on the kernel's scan: where it finds none,
//! each partition gets a loop device of its own, under the name the kernel would have given it.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use fs_err::File;
use osbuild_sandbox::{LoopDevice, LoopOptions};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, makedev, mknodat, openat2};
use serde::Deserialize;
use serde_json::{Map, Number, json};

use super::partition_table::{Extent, read_partitions};
use crate::{DeviceModule, DeviceRequest, OpenDevice};

const DEFAULT_SECTOR_SIZE: u64 = 512;

/// Where upstream's udev rules look for devices they must leave alone.
const UDEV_LOCKS: &str = "/run/osbuild/locks/udev";

/// The module.
#[derive(Debug)]
pub struct Loopback;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Options {
    filename: String,
    #[serde(default)]
    partscan: bool,
    start: Option<Number>,
    size: Option<Number>,
    sector_size: Option<Number>,
    #[serde(default)]
    lock: bool,
    #[serde(default)]
    read_only: bool,
}

impl DeviceModule for Loopback {
    fn open(&self, request: &DeviceRequest<'_>) -> Result<OpenDevice> {
        let options = Options::deserialize(request.options)
            .context("reading the options of a loopback device")?;
        let file = open_in_tree(request.tree, &options.filename)?;
        let plan = LoopPlan::new(&options, file.metadata()?.len())?;
        let mut open = OpenLoop::default();
        let (name, major, minor) = open.attach(&file, &plan, request.dev, None)?;
        tracing::debug!(
            device = name,
            file = options.filename,
            "attached a loop device"
        );
        if options.partscan {
            open.add_partitions(&file, &plan, request.dev, &name)?;
        }
        let mut reply = Map::new();
        reply.insert("node".to_owned(), json!({"major": major, "minor": minor}));
        Ok(OpenDevice {
            path: name,
            reply,
            guard: Box::new(open),
        })
    }
}

/// Opens a file below the tree; links in the tree do not lead out of it, and neither does a device node: the kernel
/// would attach the machine's own disk just as well.
fn open_in_tree(tree: &Path, name: &str) -> Result<File> {
    let root = File::open(tree)?;
    let below = name.trim_start_matches('/');
    let open = |flags| {
        openat2(
            &root,
            below,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT,
        )
        .with_context(|| format!("opening `{name}` in the tree"))
    };
    // Looked at before it is opened: opening a device may do something.
    let kind = FileType::from_raw_mode(fstat(open(OFlags::PATH)?)?.st_mode);
    if kind != FileType::RegularFile {
        bail!("`{name}` in the tree is not a regular file");
    }
    let file = open(OFlags::RDWR)?;
    Ok(File::from_parts(
        std::fs::File::from(file),
        tree.join(below),
    ))
}

/// What part of the file becomes the device, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LoopPlan {
    extent: Extent,
    sector_size: u64,
    is_locked: bool,
    is_read_only: bool,
    scans_partitions: bool,
}

impl LoopPlan {
    fn new(options: &Options, file_size: u64) -> Result<Self> {
        let sector_size = match whole_number("sector-size", options.sector_size.as_ref())? {
            None => DEFAULT_SECTOR_SIZE,
            Some(size) if size.is_power_of_two() && (512..=65536).contains(&size) => size,
            Some(size) => bail!("`sector-size` is {size}, not a power of two from 512 to 65536"),
        };
        let in_bytes = |name: &str, number| {
            whole_number(name, number)?
                .map(|sectors| {
                    sectors
                        .checked_mul(sector_size)
                        .with_context(|| format!("`{name}` is too large: {sectors} sectors"))
                })
                .transpose()
        };
        let start = in_bytes("start", options.start.as_ref())?.unwrap_or(0);
        let Some(rest) = file_size.checked_sub(start).filter(|&rest| rest > 0) else {
            bail!(
                "`{}` has {file_size} bytes, and the device would start at byte {start}",
                options.filename
            );
        };
        // Upstream takes a size of zero for no size, too.
        let size = in_bytes("size", options.size.as_ref())?.filter(|&size| size > 0);
        Ok(Self {
            extent: Extent {
                start,
                size: size.unwrap_or(rest),
            },
            sector_size,
            is_locked: options.lock,
            is_read_only: options.read_only,
            scans_partitions: options.partscan,
        })
    }

    fn loop_options(&self) -> LoopOptions {
        LoopOptions {
            offset: self.extent.start,
            size: Some(self.extent.size),
            sector_size: u32::try_from(self.sector_size).ok(),
            is_read_only: self.is_read_only,
            scans_partitions: self.scans_partitions,
            is_locked: self.is_locked,
        }
    }

    /// A partition of the device, as a device.
    fn partition(&self, partition: Extent) -> Self {
        Self {
            extent: Extent {
                start: self.extent.start + partition.start,
                size: partition.size,
            },
            scans_partitions: false,
            ..self.clone()
        }
    }
}

/// The schema says `number`, so `8.0` is as good as `8`.
fn whole_number(name: &str, number: Option<&Number>) -> Result<Option<u64>> {
    let Some(number) = number else {
        return Ok(None);
    };
    let whole = number.as_u64().or_else(|| {
        number
            .as_f64()
            .filter(|value| value.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(value))
            .map(|value| value as u64)
    });
    match whole {
        Some(value) => Ok(Some(value)),
        None => bail!("`{name}` is {number}, not a whole number of zero or more"),
    }
}

/// The loop devices of one open device, and the nodes made for them.
#[derive(Default)]
struct OpenLoop {
    devices: Vec<LoopDevice>,
    nodes: Vec<PathBuf>,
    udev_locks: Vec<PathBuf>,
}

impl OpenLoop {
    /// Attaches a device and makes its node, under the kernel's name for it or a given one.
    fn attach(
        &mut self,
        file: &File,
        plan: &LoopPlan,
        dev: &Path,
        name: Option<&str>,
    ) -> Result<(String, u32, u32)> {
        let device = LoopDevice::attach(file, &plan.loop_options())
            .with_context(|| format!("attaching `{}` to a loop device", file.path().display()))?;
        let (major, minor) = device.device_number()?;
        let name = name.map_or_else(|| format!("loop{}", device.number()), ToOwned::to_owned);
        self.devices.push(device);
        self.lock_out_udev(major, minor);
        self.make_node(dev, &name, major, minor)?;
        Ok((name, major, minor))
    }

    fn make_node(&mut self, dev: &Path, name: &str, major: u32, minor: u32) -> Result<()> {
        let node = dev.join(name);
        match fs_err::remove_file(&node) {
            // A node of that name was left by someone else, for who knows which device.
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let mode = Mode::RUSR | Mode::WUSR;
        mknodat(
            CWD,
            &node,
            FileType::BlockDevice,
            mode,
            makedev(major, minor),
        )
        .with_context(|| format!("making the device node {}", node.display()))?;
        self.nodes.push(node);
        Ok(())
    }

    /// Asks upstream's udev rules to leave the device alone. Only a courtesy: without udev, or without
    /// those rules, nothing reads the file.
    fn lock_out_udev(&mut self, major: u32, minor: u32) {
        let lock = Path::new(UDEV_LOCKS).join(format!("device-{major}:{minor}"));
        let made = fs_err::create_dir_all(UDEV_LOCKS).and_then(|()| fs_err::write(&lock, b""));
        match made {
            Ok(()) => self.udev_locks.push(lock),
            Err(error) => tracing::debug!("udev is not held off: {error}"),
        }
    }

    fn add_partitions(
        &mut self,
        file: &File,
        plan: &LoopPlan,
        dev: &Path,
        name: &str,
    ) -> Result<()> {
        let from_kernel = kernel_partitions(name)?;
        for (node, major, minor) in &from_kernel {
            self.make_node(dev, node, *major, *minor)?;
        }
        if !from_kernel.is_empty() {
            return Ok(());
        }
        let partitions = read_partitions(file, plan.extent, plan.sector_size)
            .with_context(|| format!("reading the partitions of `{}`", file.path().display()))?;
        for (number, extent) in partitions {
            let node = format!("{name}p{number}");
            self.attach(file, &plan.partition(extent), dev, Some(&node))?;
        }
        Ok(())
    }
}

/// The partitions that the kernel found when the device was attached.
fn kernel_partitions(name: &str) -> Result<Vec<(String, u32, u32)>> {
    let mut partitions = Vec::new();
    for entry in fs_err::read_dir(format!("/sys/block/{name}"))? {
        let entry = entry?;
        let node = entry.file_name().to_string_lossy().into_owned();
        if !node.starts_with(&format!("{name}p")) {
            continue;
        }
        let text = fs_err::read_to_string(entry.path().join("dev"))?;
        let numbers = text
            .trim()
            .split_once(':')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let (major, minor) = numbers.with_context(|| format!("`{text}` is no device number"))?;
        partitions.push((node, major, minor));
    }
    Ok(partitions)
}

impl Drop for OpenLoop {
    fn drop(&mut self) {
        for node in self.nodes.drain(..) {
            if let Err(error) = fs_err::remove_file(&node) {
                tracing::warn!("a device node stays behind: {error}");
            }
        }
        while let Some(device) = self.devices.pop() {
            if let Err(error) = device.detach() {
                tracing::warn!("a loop device stays behind: {error:#}");
            }
        }
        for lock in self.udev_locks.drain(..) {
            if let Err(error) = fs_err::remove_file(&lock) {
                tracing::debug!("a lock against udev stays behind: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn plan(options: Value, file_size: u64) -> Result<LoopPlan> {
        LoopPlan::new(&serde_json::from_value(options)?, file_size)
    }

    fn extent(options: Value) -> (u64, u64) {
        let plan = plan(options, 1 << 20).unwrap();
        (plan.extent.start, plan.extent.size)
    }

    #[test]
    fn only_regular_files_of_the_tree_become_devices() {
        osbuild_testing::needs![root];
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path();
        fs_err::write(tree.join("image"), "x").unwrap();
        for kind in [FileType::BlockDevice, FileType::Fifo] {
            let name = format!("{kind:?}");
            let mode = Mode::RUSR | Mode::WUSR;
            // No driver has this number: were the node opened, the error would be another.
            mknodat(CWD, tree.join(&name), kind, mode, makedev(4095, 1)).unwrap();
            assert_eq!(
                open_in_tree(tree, &name).unwrap_err().to_string(),
                format!("`{name}` in the tree is not a regular file")
            );
        }
        fs_err::os::unix::fs::symlink("/image", tree.join("link")).unwrap();
        fs_err::os::unix::fs::symlink("/dev/null", tree.join("outwards")).unwrap();
        assert!(open_in_tree(tree, "/link").is_ok());
        assert!(open_in_tree(tree, "outwards").is_err());
    }

    #[test]
    fn start_and_size_count_in_sectors() {
        let mib = 1 << 20;
        assert_eq!(extent(json!({"filename": "d"})), (0, mib));
        assert_eq!(
            extent(json!({"filename": "d", "start": 8})),
            (4096, mib - 4096)
        );
        assert_eq!(
            extent(json!({"filename": "d", "start": 1.0, "size": 2, "sector-size": 4096})),
            (4096, 8192)
        );
        assert_eq!(extent(json!({"filename": "d", "size": 0})), (0, mib));
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        let error = |options| plan(options, 4096).unwrap_err().to_string();
        assert_eq!(
            error(json!({"filename": "d", "start": 8})),
            "`d` has 4096 bytes, and the device would start at byte 4096"
        );
        assert_eq!(
            error(json!({"filename": "d", "size": 1.5})),
            "`size` is 1.5, not a whole number of zero or more"
        );
        assert_eq!(
            error(json!({"filename": "d", "sector-size": 1000})),
            "`sector-size` is 1000, not a power of two from 512 to 65536"
        );
    }
}
