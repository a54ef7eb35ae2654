//! Which pipelines of a manifest were built now.

use osbuild_engine::outcome::{Outcome, PipelineOutcome};
use osbuild_manifest::manifest::{Manifest, Pipeline};

/// Finds what came of a pipeline in this run. As upstream, by id: of several pipelines that make the same tree one is
/// built, and what came of it is said of all.
pub(crate) fn ran<'a>(
    manifest: &Manifest,
    outcome: &'a Outcome,
    pipeline: &Pipeline,
) -> Option<&'a PipelineOutcome> {
    let has_same_id = |index: usize| manifest.pipelines[index].id() == pipeline.id();
    outcome
        .pipelines
        .values()
        .find(|ran| has_same_id(ran.pipeline))
}
