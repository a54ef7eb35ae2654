//! The assemblers, one pair of files each.

pub(crate) mod error;
pub(crate) mod noop;
pub(crate) mod oci_archive;
pub(crate) mod ostree_commit;
pub(crate) mod qemu;
pub(crate) mod rawfs;
pub(crate) mod tar;
