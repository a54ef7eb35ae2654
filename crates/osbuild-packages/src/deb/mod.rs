//! Debian packages: archives, the dpkg database, repositories, and the choice of what to install.

pub mod archive;
pub mod control;
pub mod database;
pub mod relation;
pub mod repository;
pub mod solve;
pub mod universe;
pub mod unpack;
pub mod version;
