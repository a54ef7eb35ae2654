//! Decides what to do, as data: no disk is touched but for the question whether a result is there.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use osbuild_manifest::manifest::{Manifest, Pipeline};

/// Answers whether the result of a stage is at hand.
pub trait CacheIndex {
    /// Tells whether the tree after a stage can be used; both are indices, in the manifest and in the pipeline.
    fn contains(&self, pipeline: usize, stage: usize) -> bool;
}

/// What a build will do.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// Pipelines to build, each after those it needs.
    pub steps: Vec<Step>,
    /// Pipelines whose tree is needed and at hand, in the order of the manifest.
    pub reused: Vec<usize>,
    /// Trees to hand out: the word the user gave, and the pipeline it means.
    pub exports: Vec<(String, usize)>,
}

/// One pipeline to build.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// Index in the manifest.
    pub pipeline: usize,
    /// The first stage to run; the result of the one before it is in the store.
    pub first_stage: usize,
    /// Indices in [`Plan::steps`] of what must be done first.
    pub after: Vec<usize>,
}

/// Plans a build of `exports`, which are names or ids of pipelines.
///
/// Steps come in the order in which upstream builds (`Manifest.depsolve`): one worker that takes them
/// front to back does what upstream does.
///
/// # Errors
/// An export that no pipeline answers to, or a reference to a pipeline that is not in the manifest.
pub fn plan(manifest: &Manifest, exports: &[String], cache: &dyn CacheIndex) -> Result<Plan> {
    let exports = exports
        .iter()
        .map(|word| Ok((word.clone(), find_pipeline(manifest, word)?)))
        .collect::<Result<Vec<_>>>()?;
    let order = build_order(
        manifest,
        exports.iter().map(|(_, pipeline)| *pipeline),
        cache,
    )?;
    let mut reused: BTreeSet<usize> = exports.iter().map(|(_, pipeline)| *pipeline).collect();
    for &index in &order {
        let pipeline = &manifest.pipelines[index];
        let first_stage = first_stage_to_run(index, pipeline, cache);
        reused.extend(needs(manifest, pipeline, first_stage)?);
    }
    let reused = reused
        .into_iter()
        .filter(|index| !order.contains(index))
        .collect();
    let steps = order
        .iter()
        .map(|&index| {
            let pipeline = &manifest.pipelines[index];
            let first_stage = first_stage_to_run(index, pipeline, cache);
            let after = needs(manifest, pipeline, first_stage)?
                .into_iter()
                .filter_map(|need| order.iter().position(|&other| other == need))
                .collect();
            Ok(Step {
                pipeline: index,
                first_stage,
                after,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Plan {
        steps,
        reused,
        exports,
    })
}

fn find_pipeline(manifest: &Manifest, word: &str) -> Result<usize> {
    manifest
        .find_pipeline(word)
        .with_context(|| format!("no pipeline has the name or id `{word}`"))
}

/// Gives the pipelines to build, needed ones first, as upstream orders them.
fn build_order(
    manifest: &Manifest,
    targets: impl Iterator<Item = usize>,
    cache: &dyn CacheIndex,
) -> Result<Vec<usize>> {
    let mut stack: Vec<usize> = targets.collect();
    let mut reversed: Vec<usize> = Vec::new();
    // A valid manifest visits each pipeline once for each path that leads to it; ids can not form a
    // cycle, so this bound is only met when the resolver let one through.
    let mut visits = 0_usize;
    let most_visits = 1_000_000;
    while let Some(index) = stack.pop() {
        visits += 1;
        if visits > most_visits {
            bail!("the pipelines need each other in too many ways to be ordered");
        }
        let pipeline = &manifest.pipelines[index];
        if is_cached(index, pipeline, cache) {
            continue;
        }
        reversed.retain(|&other| other != index);
        reversed.push(index);
        stack.extend(needs(
            manifest,
            pipeline,
            first_stage_to_run(index, pipeline, cache),
        )?);
    }
    reversed.reverse();
    Ok(reversed)
}

fn is_cached(index: usize, pipeline: &Pipeline, cache: &dyn CacheIndex) -> bool {
    let last = pipeline.stages.len().checked_sub(1);
    last.is_some_and(|last| cache.contains(index, last))
}

/// Gives the index after the last stage whose result is in the store.
fn first_stage_to_run(index: usize, pipeline: &Pipeline, cache: &dyn CacheIndex) -> usize {
    (0..pipeline.stages.len())
        .rev()
        .find(|&stage| cache.contains(index, stage))
        .map_or(0, |last_cached| last_cached + 1)
}

/// Tells whether a pipeline needs one of others, to run in or to read.
pub(crate) fn depends_on(
    manifest: &Manifest,
    pipeline: &Pipeline,
    others: &BTreeSet<usize>,
) -> bool {
    needs(manifest, pipeline, 0).is_ok_and(|needs| needs.iter().any(|need| others.contains(need)))
}

/// Gives the pipelines that `pipeline` needs from `first_stage` on: its build root first, then the
/// inputs of its stages from the last to the first.
pub(crate) fn needs(
    manifest: &Manifest,
    pipeline: &Pipeline,
    first_stage: usize,
) -> Result<Vec<usize>> {
    let mut needs = Vec::new();
    let mut seen = BTreeSet::new();
    let mut add = |id: &str| -> Result<()> {
        let index = find_pipeline(manifest, id)?;
        if seen.insert(index) {
            needs.push(index);
        }
        Ok(())
    };
    if let Some(build) = &pipeline.build {
        add(build.as_str())?;
    }
    for stage in pipeline.stages[first_stage..].iter().rev() {
        for reference in stage.pipeline_references() {
            add(reference)?;
        }
    }
    Ok(needs)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use osbuild_manifest::resolve::resolve;
    use osbuild_manifest::value::Value;

    use super::*;
    use crate::module_catalog::ModuleCatalog;

    struct Cached(BTreeSet<(usize, usize)>);

    impl CacheIndex for Cached {
        fn contains(&self, pipeline: usize, stage: usize) -> bool {
            self.0.contains(&(pipeline, stage))
        }
    }

    /// `build` serves `os` and `image`; `image` reads the tree of `os`; `other` needs nothing.
    fn manifest() -> Manifest {
        let text = r#"{"version": "2", "pipelines": [
            {"name": "build", "stages": [{"type": "org.osbuild.noop", "options": {"n": 1}}]},
            {"name": "os", "build": "name:build", "stages": [
                {"type": "org.osbuild.noop", "options": {"n": 2}},
                {"type": "org.osbuild.noop", "options": {"n": 3}}]},
            {"name": "other", "stages": [{"type": "org.osbuild.noop", "options": {"n": 4}}]},
            {"name": "image", "build": "name:build", "stages": [
                {"type": "org.osbuild.copy",
                 "inputs": {"tree": {"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline",
                            "references": ["name:os"]}},
                 "options": {"paths": [{"from": "input://tree/", "to": "tree:///"}]}}]}
        ]}"#;
        let value = Value::from_json(text).unwrap();
        resolve(&value, &ModuleCatalog::built_in(), "org.osbuild.linux").unwrap()
    }

    fn plan_of(exports: &[&str], cached: &[(usize, usize)]) -> Plan {
        let exports: Vec<String> = exports.iter().map(|&word| word.to_owned()).collect();
        let cached = Cached(cached.iter().copied().collect());
        plan(&manifest(), &exports, &cached).unwrap()
    }

    fn step(pipeline: usize, first_stage: usize, after: &[usize]) -> Step {
        Step {
            pipeline,
            first_stage,
            after: after.to_vec(),
        }
    }

    #[test]
    fn only_what_is_needed_is_built_and_after_what_it_needs() {
        let steps = plan_of(&["image"], &[]).steps;
        assert_eq!(
            steps,
            [step(0, 0, &[]), step(1, 0, &[0]), step(3, 0, &[0, 1])]
        );
    }

    #[test]
    fn nothing_is_built_without_exports() {
        assert_eq!(plan_of(&[], &[]).steps, []);
    }

    #[test]
    fn a_cached_tree_is_not_built_nor_what_only_it_needs() {
        let plan = plan_of(&["image"], &[(3, 0)]);
        assert_eq!((plan.steps, plan.reused), (vec![], vec![3]));
    }

    #[test]
    fn what_is_at_hand_is_listed_if_something_needs_it() {
        let plan = plan_of(&["image"], &[(0, 0), (1, 1), (2, 0)]);
        assert_eq!(
            (plan.steps, plan.reused),
            (vec![step(3, 0, &[])], vec![0, 1])
        );
    }

    #[test]
    fn a_pipeline_goes_on_after_its_last_cached_stage() {
        let steps = plan_of(&["os"], &[(1, 0)]).steps;
        assert_eq!(steps, [step(0, 0, &[]), step(1, 1, &[0])]);
    }

    #[test]
    fn an_unknown_export_is_named() {
        let error = plan(
            &manifest(),
            &["nosuch".to_owned()],
            &Cached(BTreeSet::new()),
        );
        assert_eq!(
            error.unwrap_err().to_string(),
            "no pipeline has the name or id `nosuch`"
        );
    }
}
