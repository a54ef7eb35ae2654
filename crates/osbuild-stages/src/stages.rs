//! The stages, one pair of files each.

pub(crate) mod dd;
pub(crate) mod grub2_inst;
pub(crate) mod gzip;
pub(crate) mod hostname;
pub(crate) mod mkfs_btrfs;
pub(crate) mod mkfs_ext4;
pub(crate) mod mkfs_fat;
pub(crate) mod mkfs_xfs;
pub(crate) mod mkswap;
pub(crate) mod qemu;
pub(crate) mod sfdisk;
pub(crate) mod sgdisk;
pub(crate) mod tar;
pub(crate) mod truncate;
pub(crate) mod write_device;
pub(crate) mod xz;
pub(crate) mod zstd;
