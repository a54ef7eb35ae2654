//! Every stage and assembler, sorted by name: one row per line, so that two branches that add one each merge.

use osbuild_stage_api::StageModule;

use crate::{assemblers, stages};

/// Every stage, sorted by name.
#[rustfmt::skip]
pub static STAGES: &[StageModule] = &[
    stages::chmod::STAGE,
    stages::chown::STAGE,
    stages::copy::STAGE,
    stages::crypttab::STAGE,
    stages::dd::STAGE,
    stages::deb::STAGE,
    stages::disk::STAGE,
    stages::error::STAGE,
    stages::first_boot::STAGE,
    stages::fstab::STAGE,
    stages::groups::STAGE,
    stages::grub2_debian::STAGE,
    stages::grub2_inst::STAGE,
    stages::gunzip::STAGE,
    stages::gzip::STAGE,
    stages::hostname::STAGE,
    stages::kernel_cmdline::STAGE,
    stages::keymap::STAGE,
    stages::ln::STAGE,
    stages::locale::STAGE,
    stages::machine_id::STAGE,
    stages::mkdir::STAGE,
    stages::mkfs_btrfs::STAGE,
    stages::mkfs_ext4::STAGE,
    stages::mkfs_fat::STAGE,
    stages::mkfs_xfs::STAGE,
    stages::mkswap::STAGE,
    stages::modprobe::STAGE,
    stages::nm_conf::STAGE,
    stages::nm_conn::STAGE,
    stages::noop::STAGE,
    stages::pam_limits_conf::STAGE,
    stages::qemu::STAGE,
    stages::resolv_conf::STAGE,
    stages::sfdisk::STAGE,
    stages::sgdisk::STAGE,
    stages::shell_init::STAGE,
    stages::sshd_config::STAGE,
    stages::sysctld::STAGE,
    stages::systemd::STAGE,
    stages::systemd_journald::STAGE,
    stages::systemd_logind::STAGE,
    stages::systemd_preset::STAGE,
    stages::systemd_unit::STAGE,
    stages::systemd_unit_create::STAGE,
    stages::tar::STAGE,
    stages::timezone::STAGE,
    stages::tmpfilesd::STAGE,
    stages::truncate::STAGE,
    stages::untar::STAGE,
    stages::users::STAGE,
    stages::write_device::STAGE,
    stages::xz::STAGE,
    stages::zstd::STAGE,
];

/// Every assembler, sorted by name.
#[rustfmt::skip]
pub static ASSEMBLERS: &[StageModule] = &[
    assemblers::error::ASSEMBLER,
    assemblers::noop::ASSEMBLER,
    assemblers::qemu::ASSEMBLER,
    assemblers::rawfs::ASSEMBLER,
    assemblers::tar::ASSEMBLER,
];
