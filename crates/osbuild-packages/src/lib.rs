//! Package archives and repositories: verify, unpack, solve.
//!
//! A crate of its own because it runs in two places: on the host, where a recipe is turned into a list of
//! pinned packages, and inside the sandbox, where those packages are unpacked.

pub mod deb;
pub mod rpm;
