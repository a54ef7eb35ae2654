//! What a stage says of its own failure, as result documents and records have it.

use osbuild_engine::outcome::{Ending, StageOutcome};
use serde_json::{Value, json};

/// Gives the exception that ended a stage, as it reported it; null if it just exited. Stages that did not end by themselves have an
/// exception of ours: upstream has no document for these.
pub(crate) fn stage_error(stage: &StageOutcome) -> Value {
    let (kind, text) = match &stage.ending {
        Ending::NotStarted { module, reason } => ("service", format!("{module}: {reason}")),
        Ending::TimedOut => (
            "timeout",
            "it ran longer than --stage-timeout allows".into(),
        ),
        Ending::Signalled { signal } => ("signal", format!("killed by signal {signal}")),
        Ending::Exited { .. } => return stage.error.clone().unwrap_or_default(),
        Ending::Cancelled => return Value::Null,
    };
    json!({
        "type": "exception",
        "data": { "type": kind, "value": text, "traceback": "" },
    })
}
