//! What a device is: it makes a file or another device usable as a block device.

use std::fmt;
use std::path::Path;

use serde_json::{Map, Value};

/// Opens devices.
pub trait DeviceModule: Sync {
    /// Opens the device and makes its node.
    fn open(&self, request: &DeviceRequest<'_>) -> anyhow::Result<OpenDevice>;
}

/// What a device is asked for.
#[derive(Clone, Copy, Debug)]
pub struct DeviceRequest<'a> {
    /// The directory that the stage sees as `/dev`.
    pub dev: &'a Path,
    /// The tree that file names are below.
    pub tree: &'a Path,
    /// The node of the device this one is part of, relative to `dev`.
    pub parent: Option<&'a str>,
    /// The options of the device.
    pub options: &'a Value,
}

/// An open device; dropping the guard closes it.
pub struct OpenDevice {
    /// Its node, relative to the device directory.
    pub path: String,
    /// What the stage is told besides `path`, `node` among it.
    pub reply: Map<String, Value>,
    /// Closes the device on drop: flushes, detaches, removes its node.
    pub guard: Box<dyn Send>,
}

impl fmt::Debug for OpenDevice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OpenDevice")
            .field("path", &self.path)
            .field("reply", &self.reply)
            .finish_non_exhaustive()
    }
}
