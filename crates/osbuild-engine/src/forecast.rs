//! What earlier builds tell about one that is to come: which of its steps others wait for longest, and the space it takes.
//!
//! Both are read off the results that the store keeps, so nothing is known of stages that are quick, and of results that
//! were removed. A guess that is wrong costs time, never a result.

use std::collections::HashMap;

use osbuild_manifest::manifest::Manifest;
use osbuild_store::PastStep;

use crate::plan::Step;

/// What is known of steps, none of it without earlier builds.
#[derive(Debug, PartialEq)]
pub(crate) struct Forecast {
    /// Indices of the steps: those with the longest way to the end of the build come first.
    pub(crate) order: Vec<usize>,
    /// What the results of the steps will take in the store, in bytes, as far as is known.
    pub(crate) bytes: u64,
}

impl Forecast {
    /// Looks at the steps of a plan in the light of what the store keeps.
    pub(crate) fn new(manifest: &Manifest, steps: &[Step], past: &[PastStep]) -> Self {
        let costs: Vec<Cost> = steps
            .iter()
            .map(|step| cost(manifest, step, past))
            .collect();
        Self {
            order: by_urgency(steps, &costs),
            bytes: costs
                .iter()
                .fold(0, |sum, cost| sum.saturating_add(cost.bytes)),
        }
    }
}

/// What a step, or a stage of it, took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Cost {
    seconds: f64,
    bytes: u64,
}

impl Cost {
    fn most(self, other: Self) -> Self {
        Self {
            seconds: self.seconds.max(other.seconds),
            bytes: self.bytes.max(other.bytes),
        }
    }
}

/// Adds up what the stages of a step took. A stage that was changed since is taken for the one of its kind in the same
/// pipeline that took the most.
fn cost(manifest: &Manifest, step: &Step, past: &[PastStep]) -> Cost {
    let pipeline = &manifest.pipelines[step.pipeline];
    let (mut of_ids, mut of_kinds) = (HashMap::new(), HashMap::new());
    for step in past {
        if step.record.pipeline != pipeline.name {
            continue;
        }
        let cost = Cost {
            seconds: step.record.seconds,
            bytes: step.bytes,
        };
        let of_id: &mut Cost = of_ids.entry(step.record.stage_id.as_str()).or_default();
        *of_id = of_id.most(cost);
        // What this manifest still has under its id says nothing of a changed stage.
        let is_current = pipeline
            .stages
            .iter()
            .any(|stage| stage.id.as_str() == step.record.stage_id);
        if !is_current {
            let kind = step.record.stage_type.as_str();
            let of_kind: &mut Cost = of_kinds.entry(kind).or_default();
            *of_kind = of_kind.most(cost);
        }
    }
    let costs = pipeline.stages[step.first_stage..].iter().map(|stage| {
        let cost = of_ids.get(stage.id.as_str());
        cost.or_else(|| of_kinds.get(stage.name.as_str()))
            .copied()
            .unwrap_or_default()
    });
    costs.fold(Cost::default(), |sum, cost| Cost {
        seconds: sum.seconds + cost.seconds,
        bytes: sum.bytes.saturating_add(cost.bytes),
    })
}

/// Orders steps by the time from their start to the end of the build, the longest first; the order of the plan decides
/// between equal ones.
fn by_urgency(steps: &[Step], costs: &[Cost]) -> Vec<usize> {
    let mut remaining: Vec<f64> = vec![0.0; steps.len()];
    // Who needs a step comes after it in the plan, so that its own time is complete before it is passed on.
    for index in (0..steps.len()).rev() {
        remaining[index] += costs[index].seconds;
        for &need in &steps[index].after {
            remaining[need] = remaining[need].max(remaining[index]);
        }
    }
    let mut order: Vec<usize> = (0..steps.len()).collect();
    order.sort_by(|&one, &other| remaining[other].total_cmp(&remaining[one]));
    order
}

#[cfg(test)]
mod tests {
    use osbuild_manifest::resolve::resolve;
    use osbuild_manifest::value::Value;
    use osbuild_store::StepRecord;

    use super::*;
    use crate::module_catalog::ModuleCatalog;

    /// `quick` and `slow` need nothing, `last` is changed from what the store knows.
    fn manifest() -> Manifest {
        let text = r#"{"version": "2", "pipelines": [
            {"name": "quick", "stages": [{"type": "org.osbuild.noop", "options": {"n": 1}}]},
            {"name": "slow", "stages": [{"type": "org.osbuild.noop", "options": {"n": 2}}]},
            {"name": "last", "stages": [
                {"type": "org.osbuild.noop", "options": {"n": 3}},
                {"type": "org.osbuild.noop", "options": {"n": 4}}]}
        ]}"#;
        let value = Value::from_json(text).unwrap();
        resolve(&value, &ModuleCatalog::built_in(), "org.osbuild.linux").unwrap()
    }

    fn past(pipeline: &str, stage_id: &str, seconds: f64, bytes: u64) -> PastStep {
        PastStep {
            record: StepRecord {
                stage_id: stage_id.to_owned(),
                stage_type: "org.osbuild.noop".to_owned(),
                pipeline: pipeline.to_owned(),
                seconds,
            },
            bytes,
        }
    }

    fn step(pipeline: usize, first_stage: usize, after: &[usize]) -> Step {
        Step {
            pipeline,
            first_stage,
            after: after.to_vec(),
        }
    }

    #[test]
    fn what_others_wait_for_longest_comes_first() {
        let past = [
            past("quick", "older", 1.0, 10),
            past("slow", "older", 5.0, 20),
            past("slow", "oldest", 4.0, 30),
        ];
        let alone = [step(0, 0, &[]), step(1, 0, &[])];
        let forecast = Forecast::new(&manifest(), &alone, &past);
        assert_eq!((forecast.order, forecast.bytes), (vec![1, 0], 40));
        // The quick one is needed by the slow one, and so by all.
        let chained = [step(0, 0, &[]), step(2, 0, &[]), step(1, 0, &[0])];
        assert_eq!(Forecast::new(&manifest(), &chained, &past).order, [0, 2, 1]);
    }

    #[test]
    fn without_earlier_builds_the_plan_decides() {
        let steps = [step(0, 0, &[]), step(1, 0, &[]), step(2, 0, &[])];
        let forecast = Forecast::new(&manifest(), &steps, &[]);
        assert_eq!((forecast.order, forecast.bytes), (vec![0, 1, 2], 0));
    }

    #[test]
    fn only_stages_that_are_run_count_and_each_by_its_own_past() {
        let manifest = manifest();
        let [first, second] = [0, 1].map(|stage| manifest.pipelines[2].stages[stage].id.clone());
        let known = [
            past("last", first.as_str(), 1.0, 100),
            past("last", second.as_str(), 1.0, 7),
        ];
        let bytes =
            |first_stage, past| Forecast::new(&manifest, &[step(2, first_stage, &[])], past).bytes;
        assert_eq!(bytes(0, &known), 107);
        assert_eq!(bytes(1, &known), 7);
        // The second was changed; what is known of the first says nothing of it.
        assert_eq!(bytes(1, &known[..1]), 0);
    }
}
