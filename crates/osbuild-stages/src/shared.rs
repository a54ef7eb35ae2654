//! What several stages share, each under its own name.

pub(crate) mod grub_bios;
pub(crate) mod only_file;
