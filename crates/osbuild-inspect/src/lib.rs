//! Reads what was built, and says how two builds differ: a crate of its own because it only ever reads,
//! without root and without mounting, and nothing that builds may depend on it.
//!
//! | module | gives |
//! |---|---|
//! | [`subject`] | a directory, archive or disk image, read into a [`subject::Subject`] |
//! | [`tree`] | every entry of a file tree, as plain data |
//! | [`compare`] | what differs between two subjects |
//! | [`image_info`] | what one subject holds, as upstream's `osbuild-image-info` reports it |
//! | [`tree_diff`] | the report of upstream's `tree-diff`, to the letter |

mod archive;
pub mod compare;
mod directory;
mod disk;
mod facts;
mod file_system;
pub mod image_info;
mod packages;
pub mod subject;
pub mod tree;
pub mod tree_diff;

pub use compare::compare;
pub use subject::Subject;
