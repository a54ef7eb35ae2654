//! Modules that run on the host, in process: sources, inputs, devices, mounts.
//!
//! A crate of its own for direction: these need privileges and the store, which the modules that run
//! in the sandbox must never reach for.

pub mod device;
pub mod devices;
pub mod input;
pub mod inputs;
pub mod mount;
pub mod mounts;
pub mod service;
pub mod source;
pub mod sources;
mod table;

pub use device::{DeviceModule, DeviceRequest, OpenDevice};
pub use input::{InputModule, InputRequest, MappedInput, ObjectSource};
pub use mount::{MountModule, MountRequest, Mounted};
pub use source::{
    ItemHint, ItemHints, SourceEvent, SourceModule, SourceOutcome, SourceRequest, SourceResult,
};
pub use table::{HOST_MODULES, HostModule, device, input, lookup, mount, source};
