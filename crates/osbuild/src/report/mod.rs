//! Reports: the outcome of a build becomes text or JSON.

pub(crate) mod json_v2;
pub(crate) mod stage_failure;
pub(crate) mod text;
