//! RPM packages: headers, digests, and unpacking sets of packages that need nothing but their files in place.

pub mod digests;
pub mod header;
pub mod package;
pub mod payload;
mod tag;
pub mod unpack;
