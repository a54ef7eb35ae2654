//! Making and filling file systems in files: without the kernel's help, but for XFS.

pub(crate) mod complete_tree;
pub(crate) mod content;
mod crc32c;
pub(crate) mod ext4_inodes;
pub(crate) mod extent;
pub(crate) mod fat;
mod fat_geometry;
mod fat_names;
mod fat_time;
pub(crate) mod filled;
pub(crate) mod loop_mount;
pub(crate) mod mask;
pub(crate) mod sparse_copy;
