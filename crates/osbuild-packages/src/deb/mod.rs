//! Debian packages: archives, the dpkg database, repositories, and the choice of what to install.

pub mod apt_configuration;
pub mod archive;
pub mod control;
pub mod database;
pub mod date;
pub(crate) mod decompress;
pub mod download;
pub(crate) mod index_cache;
pub mod keyring;
pub mod relation;
pub(crate) mod release;
pub mod repository;
pub mod signature;
mod signed_release;
pub mod solve;
pub mod universe;
pub mod unpack;
pub mod version;
