//! Devices: they make files usable as block devices.

mod loopback;
mod partition_table;

pub use loopback::Loopback;
pub use partition_table::{Extent, read_partitions};
