//! Inputs: they lay out files and trees for a stage to read.

mod files;
mod noop;
mod tree;

pub use files::Files;
pub use noop::Noop;
pub use tree::Tree;
