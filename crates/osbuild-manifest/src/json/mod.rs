//! JSON as Python's `json` module reads and writes it, and values as Python's `repr` shows them.

mod float;
mod parse;
mod repr;
mod scan;
mod write;

pub(crate) use parse::parse;
pub use repr::{repr, repr_text};
pub(crate) use scan::{Scanner, Span};
pub(crate) use write::{KeyOrder, to_indented_string, to_string};

/// How deeply lists and maps may be nested. Python gives up (`RecursionError`) somewhat below 1000 levels; this keeps
/// every walk over a value within the stack of a thread, and no manifest comes near it.
pub const MAXIMUM_DEPTH: usize = 500;
