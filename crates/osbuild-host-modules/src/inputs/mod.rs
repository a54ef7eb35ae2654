//! Inputs: they lay out files and trees for a stage to read.

mod files;
mod tree;

pub use files::Files;
pub use tree::Tree;
