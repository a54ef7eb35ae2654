//! Turns what ended a build into a failure that says what, where, why and what next.

use std::path::Path;

use anyhow::anyhow;
use osbuild_engine::outcome::{
    Ending, FailedAt, FailedTree, Outcome, PipelineOutcome, SourceOutcome, SourceResult,
    StageOutcome,
};
use osbuild_manifest::manifest::Manifest;
use signal_hook::consts::SIGINT;

use crate::build_record::store_option;
use crate::failure::{Failure, FailureKind, STORE_IS_FULL};
use crate::shell_word::shell_word;

/// Lines of a stage's output that are shown; the log has all of them.
const LAST_LINES: usize = 15;

/// Describes what ended a build, a signal perhaps; none if it succeeded.
pub(crate) fn failure_of(
    manifest: &Manifest,
    outcome: Outcome,
    signal: Option<i32>,
) -> Option<Failure> {
    if let Some((pipeline, stage)) = outcome.failed_stage() {
        return Some(stage_failure(manifest, pipeline, stage));
    }
    if let Some(source) = outcome.failed_source() {
        return Some(source_failure(manifest, source));
    }
    match outcome.failure? {
        FailedAt::Engine { error, .. } => Some(Failure::from(error)),
        _ => {
            let signal = signal.unwrap_or(SIGINT);
            let kind = FailureKind::Interrupted { signal };
            Some(Failure::new(kind, anyhow!("interrupted")))
        }
    }
}

fn source_failure(manifest: &Manifest, source: &SourceOutcome) -> Failure {
    let name = &manifest.sources[source.source].name;
    let is_of_item = |result: &&SourceResult| result.checksum.is_some() && result.error.is_some();
    // What has no checksum sums up what the others say, unless it is all there is.
    let has_items = source.results.iter().any(|result| is_of_item(&result));
    let mut errors = source
        .results
        .iter()
        .filter(|result| !has_items || is_of_item(result))
        .filter_map(|result| result.error.as_deref());
    let first = errors.next().unwrap_or("it does not say why");
    let others: Vec<&str> = errors.collect();
    let error = if others.is_empty() {
        anyhow!("source `{name}` failed: {first}")
    } else {
        let count = others.len() + 1;
        let shown = others.iter().take(LAST_LINES - 1);
        let mut text = format!("source `{name}` failed for {count} files:\n  {first}");
        shown.for_each(|error| text += &format!("\n  {error}"));
        if count > LAST_LINES {
            text += &format!("\n  and {} more", count - LAST_LINES);
        }
        anyhow!(text)
    };
    let mut failure = Failure::new(FailureKind::Build, error);
    let is_gone = |text: &&str| GONE.iter().any(|sign| text.contains(sign));
    if others.iter().chain([&first]).any(is_gone) {
        failure = failure.with_hint(
            "a file was removed or replaced where it came from: give another address, or let \
             `osbuild lock RECIPE` choose what is there now",
        );
    }
    if others
        .iter()
        .chain([&first])
        .any(|text| text.contains("no space left on"))
    {
        failure = failure.with_hint(STORE_IS_FULL);
    }
    failure.with_hint("what was fetched is kept; running the same command again goes on from there")
}

/// Names the commands to look at what a failed stage left, `STORE/objects/NAME/data/tree`, and to remove it.
fn kept_tree(place: &Path) -> String {
    let name = place.ancestors().nth(2).and_then(Path::file_name);
    let store = place.ancestors().nth(4);
    let mut text = format!(
        "the tree as the stage left it is kept: `ls -la {}` shows it",
        shell_word(&place.to_string_lossy())
    );
    if let (Some(name), Some(store)) = (name, store) {
        let command = format!(
            "osbuild cache remove {}{}",
            name.to_string_lossy(),
            store_option(store)
        );
        text += &format!(", `{command}` removes it");
    }
    text
}

/// What the curl source says when trying again will not help.
const GONE: [&str; 3] = [
    "the server answers 404",
    "checksum mismatch",
    "No such file or directory",
];

/// A disk with less room than this is as good as full: ext4 counts up to 16 MiB as free that it gives to nobody,
/// and programs leave a rest that is too small for their next piece.
const FULL: u64 = 32 << 20;

/// What programs say of a full disk.
const NO_SPACE: &str = "No space left on device";

/// Whether a stage writes to file systems of its own, be it through devices or as `org.osbuild.disk` does it.
fn fills_images(manifest: &Manifest, pipeline: &PipelineOutcome, stage: &StageOutcome) -> bool {
    let defined = &manifest.pipelines[pipeline.pipeline].stages[stage.stage];
    !defined.devices.is_empty() || stage.name == "org.osbuild.disk"
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
    match &pipeline.failed_tree {
        Some(FailedTree::Kept(place)) => {
            failure = failure.with_hint(kept_tree(place));
        }
        Some(FailedTree::Lost(reason)) => {
            failure = failure.with_hint(format!("the tree that it left is not kept: {reason}"));
        }
        None => {}
    }
    match &stage.ending {
        Ending::TimedOut => failure.with_hint("give it more time with a larger --stage-timeout"),
        _ if let Some(free) = stage.free_bytes.filter(|free| *free < FULL) => failure.with_hint(format!(
            "the disk of the store has {} MiB left: {STORE_IS_FULL}",
            free >> 20
        )),
        _ if stage.output.contains(NO_SPACE) && !fills_images(manifest, pipeline, stage) => failure
            .with_hint(format!(
                "the disk of the store has room again, since what failed was removed: {STORE_IS_FULL}"
            )),
        _ if stage.output.contains(NO_SPACE) => failure.with_hint(
            "the disk of the store has room, so it is a file system that the stage fills that is full: \
             make the image larger",
        ),
        _ => failure,
    }
}
