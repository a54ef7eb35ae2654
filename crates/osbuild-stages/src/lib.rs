//! Modules that run inside the sandbox: stages, assemblers and runners, in this same program.
//!
//! A crate of its own because of where it runs: inside foreign build roots, of any distribution and age. It is linked
//! statically, finds the programs of the build root by bare name, and reaches the engine only through files.
//!
//! A stage is a pair of files in `stages/`: `hostname.rs` does it, `hostname.meta.json` describes it and holds its
//! schema, which is a published contract. `cargo xtask new-stage NAME` writes both and their lines in the tables.
//! An assembler is such a pair in `assemblers/`: a stage that makes an image of the tree it is given as input.

mod assemblers;
mod run;
pub mod runners;
mod shared;
mod stages;
mod table;

pub use run::{ASSEMBLER_ENVIRONMENT, ASSEMBLER_PROGRAM, lookup, run_module};
pub use table::{ASSEMBLERS, STAGES};

#[cfg(test)]
mod hostile_tree_tests;
#[cfg(test)]
mod table_tests;
