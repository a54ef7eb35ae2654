//! Format 1: one tree, its build trees nested inside, at most one assembler.

mod inspect;
mod resolve;
mod validate;

pub(crate) use inspect::inspect;
pub(crate) use resolve::resolve;
pub(crate) use validate::validate;

/// The name that this format has for the curl source.
const FILES: &str = "org.osbuild.files";
const CURL: &str = "org.osbuild.curl";
