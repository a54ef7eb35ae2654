//! Support for tests: what a test needs, servers, machines, comparison of trees.
//!
//! A crate of its own so that it is only ever a dev-dependency: nothing here reaches the program.

pub mod access_watch;
pub mod boot;
pub mod certificates;
pub mod deb_repository;
pub mod needs;
pub mod private_mounts;
pub mod rpm_database;
pub mod rpm_repository;
pub mod server;
pub mod tree;
