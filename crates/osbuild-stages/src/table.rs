//! Every stage, sorted by name: one row per line, so that two branches that add one each merge.

use osbuild_stage_api::StageModule;

use crate::stages;

/// Every stage, sorted by name.
#[rustfmt::skip]
pub static STAGES: &[StageModule] = &[
    stages::dd::STAGE,
    stages::grub2_inst::STAGE,
    stages::gzip::STAGE,
    stages::hostname::STAGE,
    stages::mkfs_btrfs::STAGE,
    stages::mkfs_ext4::STAGE,
    stages::mkfs_fat::STAGE,
    stages::mkfs_xfs::STAGE,
    stages::mkswap::STAGE,
    stages::qemu::STAGE,
    stages::sfdisk::STAGE,
    stages::sgdisk::STAGE,
    stages::tar::STAGE,
    stages::truncate::STAGE,
    stages::write_device::STAGE,
    stages::xz::STAGE,
    stages::zstd::STAGE,
];
