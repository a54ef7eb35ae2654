//! Turns what ended a build into a failure that says what, where, why and what next.

use anyhow::anyhow;
use osbuild_engine::outcome::{Ending, FailedAt, Outcome, PipelineOutcome, StageOutcome};
use osbuild_manifest::manifest::Manifest;

use crate::failure::{Failure, FailureKind};

/// Lines of a stage's output that are shown; the log has all of them.
const LAST_LINES: usize = 15;

/// Describes what ended a build; none if it succeeded.
pub(crate) fn failure_of(manifest: &Manifest, outcome: Outcome) -> Option<Failure> {
    if let Some((pipeline, stage)) = outcome.failed_stage() {
        return Some(stage_failure(manifest, pipeline, stage));
    }
    if let Some(source) = outcome.failed_source() {
        let name = &manifest.sources[source.source].name;
        let mut failure = Failure::new(FailureKind::Build, anyhow!("source `{name}` failed"));
        failure.last_lines = source
            .results
            .iter()
            .filter_map(|result| result.error.clone())
            .take(LAST_LINES)
            .collect();
        return Some(failure.with_hint(
            "what was fetched is kept; running the same command again goes on from there",
        ));
    }
    match outcome.failure? {
        FailedAt::Engine { error, .. } => Some(Failure::new(FailureKind::Build, error)),
        _ => Some(Failure::new(
            FailureKind::Interrupted,
            anyhow!("interrupted"),
        )),
    }
}

fn stage_failure(manifest: &Manifest, pipeline: &PipelineOutcome, stage: &StageOutcome) -> Failure {
    let name = &manifest.pipelines[pipeline.pipeline].name;
    let ending = match &stage.ending {
        Ending::Exited { status: 0 } => "left metadata that can not be used".to_owned(),
        Ending::Exited { status } => format!("failed with exit status {status}"),
        Ending::Signalled { signal } => format!("was killed by signal {signal}"),
        Ending::TimedOut => "ran longer than --stage-timeout allows and was ended".to_owned(),
        Ending::Cancelled => "was ended".to_owned(),
        Ending::NotStarted { module, reason } => {
            format!("could not start: `{module}` failed: {reason}")
        }
    };
    let error = anyhow!(
        "stage {} of pipeline `{name}`, `{}`, {ending}",
        stage.stage + 1,
        stage.name
    );
    let mut failure = Failure::new(FailureKind::Build, error);
    let lines: Vec<&str> = stage.output.trim_end().lines().collect();
    failure.last_lines = lines
        .iter()
        .skip(lines.len().saturating_sub(LAST_LINES))
        .map(|line| (*line).to_owned())
        .collect();
    failure.log = Some(stage.log.clone());
    failure
}
