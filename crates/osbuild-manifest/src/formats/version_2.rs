//! Format 2: a list of pipelines.

mod inspect;
mod resolve;
mod services;
mod validate;

pub(crate) use inspect::inspect;
pub(crate) use resolve::resolve;
pub(crate) use validate::validate;
