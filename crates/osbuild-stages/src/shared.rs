//! What several stages share, each under its own name.

pub(crate) mod boot_entries;
pub(crate) mod calendar;
pub(crate) mod fake_machine_id;
pub(crate) mod filesystem;
pub(crate) mod firstboot;
pub(crate) mod grub_bios;
pub(crate) mod grub_environment;
pub(crate) mod grub_files;
pub(crate) mod ini;
pub(crate) mod ini_document;
pub(crate) mod ini_file;
pub(crate) mod no_sync;
pub(crate) mod only_file;
pub(crate) mod ostree_deployment;
pub(crate) mod package_repository;
pub(crate) mod python_json;
pub(crate) mod python_yaml;
pub(crate) mod qemu_img;
pub(crate) mod remove_tree;
pub(crate) mod secret_file;
pub(crate) mod setting_lines;
pub(crate) mod tar_members;
pub(crate) mod unit_file;
pub(crate) mod unit_links;
