//! Debian packages: archives, the dpkg database, repositories, and the choice of what to install.

pub mod archive;
pub mod database;
pub mod unpack;
