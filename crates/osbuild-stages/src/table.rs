//! Every stage, sorted by name: one row per line, so that two branches that add one each merge.

use osbuild_stage_api::StageModule;

use crate::stages;

/// Every stage, sorted by name.
#[rustfmt::skip]
pub static STAGES: &[StageModule] = &[
    stages::hostname::STAGE,
];
