//! The assemblers, one pair of files each.

pub(crate) mod error;
pub(crate) mod noop;
pub(crate) mod qemu;
pub(crate) mod rawfs;
pub(crate) mod tar;
