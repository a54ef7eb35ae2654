//! RPM packages: headers, digests, unpacking sets of packages that need nothing but their files in place, and the choice
//! of packages from repositories.

pub mod dependency;
pub mod details;
pub mod digests;
mod filelists;
pub mod header;
pub mod package;
pub mod payload;
mod primary;
mod repomd;
pub mod repository;
pub mod solve;
mod tag;
pub mod unpack;
pub mod version;
mod xml;
