//! Reports: the outcome of a build becomes text or JSON.

pub(crate) mod comparison_html;
pub(crate) mod comparison_text;
pub(crate) mod json_v1;
pub(crate) mod json_v2;
mod ran;
pub(crate) mod stage_error;
pub(crate) mod stage_failure;
pub(crate) mod text;
