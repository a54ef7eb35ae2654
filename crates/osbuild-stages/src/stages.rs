//! The stages, one pair of files each.

pub(crate) mod hostname;
