//! Who still needs which tree. A tree goes when the last of them is done, so that no more of a build takes room at a time
//! than has to be there.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use osbuild_manifest::manifest::{Manifest, StageId};

use crate::plan::{Plan, needs};

/// The steps and exports that each tree is waiting for, by the tree's id.
pub(crate) struct Consumers {
    /// For each step, the trees that it makes or needs.
    trees: Vec<BTreeSet<StageId>>,
    /// For each tree, how many steps that make or need it are not done; exports are never done.
    open: Mutex<HashMap<StageId, usize>>,
}

impl Consumers {
    /// Counts what a plan needs.
    pub(crate) fn new(manifest: &Manifest, plan: &Plan) -> Result<Self> {
        let id = |pipeline: usize| manifest.pipelines[pipeline].id().cloned();
        let trees = plan
            .steps
            .iter()
            .map(|step| {
                let pipeline = &manifest.pipelines[step.pipeline];
                let mut needs = needs(manifest, pipeline, step.first_stage)?;
                needs.push(step.pipeline);
                Ok(needs.into_iter().filter_map(id).collect())
            })
            .collect::<Result<Vec<BTreeSet<StageId>>>>()?;
        let exported = plan.exports.iter().filter_map(|(_, index)| id(*index));
        let mut open = HashMap::new();
        for tree in trees.iter().flatten().cloned().chain(exported) {
            *open.entry(tree).or_default() += 1;
        }
        Ok(Self {
            trees,
            open: Mutex::new(open),
        })
    }

    /// Notes that a step is done, and gives the trees that nothing needs any more. To be called once for each step.
    pub(crate) fn done(&self, step: usize) -> Vec<StageId> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = Vec::new();
        for tree in &self.trees[step] {
            if let Some(count) = open.get_mut(tree) {
                *count -= 1;
                if *count == 0 {
                    free.push(tree.clone());
                }
            }
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use osbuild_manifest::resolve::resolve;
    use osbuild_manifest::value::Value;

    use super::*;
    use crate::module_catalog::ModuleCatalog;
    use crate::plan::{CacheIndex, plan};

    struct Empty;

    impl CacheIndex for Empty {
        fn contains(&self, _pipeline: usize, _stage: usize) -> bool {
            false
        }
    }

    const MANIFEST: &str = r#"{"version": "2", "pipelines": [
        {"name": "build", "stages": [{"type": "org.osbuild.noop", "options": {"n": 1}}]},
        {"name": "os", "build": "name:build", "stages": [{"type": "org.osbuild.noop", "options": {"n": 2}}]},
        {"name": "image", "build": "name:build", "stages": [
            {"type": "org.osbuild.copy",
             "inputs": {"tree": {"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline",
                        "references": ["name:os"]}},
             "options": {"paths": [{"from": "input://tree/", "to": "tree:///"}]}}]}
    ]}"#;

    /// What becomes free after each step, by name.
    fn freed(exports: &[&str]) -> Vec<Vec<String>> {
        let value = Value::from_json(MANIFEST).unwrap();
        let manifest = resolve(&value, &ModuleCatalog::built_in(), "org.osbuild.linux").unwrap();
        let exports: Vec<String> = exports.iter().map(|&word| word.to_owned()).collect();
        let plan = plan(&manifest, &exports, &Empty).unwrap();
        let consumers = Consumers::new(&manifest, &plan).unwrap();
        let name = |id: &StageId| {
            let mut pipelines = manifest.pipelines.iter();
            let pipeline = pipelines.find(|pipeline| pipeline.id() == Some(id));
            pipeline.unwrap().name.clone()
        };
        (0..plan.steps.len())
            .map(|step| {
                let mut names: Vec<_> = consumers.done(step).iter().map(name).collect();
                names.sort();
                names
            })
            .collect()
    }

    #[test]
    fn a_tree_goes_with_the_last_that_needs_it() {
        assert_eq!(freed(&["image"]), [vec![], vec![], vec!["build", "os"]]);
    }

    #[test]
    fn what_is_exported_stays() {
        assert_eq!(freed(&["os", "image"]), [vec![], vec![], vec!["build"]]);
        assert_eq!(freed(&["os"]), [vec![], vec!["build"]]);
    }
}
