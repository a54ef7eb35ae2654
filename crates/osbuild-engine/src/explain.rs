//! Says why stages are run: in what their keys differ from those of results that are kept.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use fs_err as fs;
use osbuild_manifest::manifest::Manifest;
use osbuild_store::Store;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::plan::Plan;
use crate::step_cache::StepCache;

/// Differences of one stage that are told; the rest is counted.
const SHOWN_DIFFERENCES: usize = 6;
/// Characters of a value that are shown.
const SHOWN_VALUE: usize = 60;
/// Entries of a list that are named when they were added or taken away.
const SHOWN_ENTRIES: usize = 5;

/// Why a build does what it does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// In the order of the manifest.
    pub pipelines: Vec<PipelineExplanation>,
}

/// What becomes of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineExplanation {
    /// Its name.
    pub name: String,
    /// Its stages; none of them if its tree is not needed.
    pub stages: Vec<StageExplanation>,
}

/// What becomes of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageExplanation {
    /// Its module.
    pub name: String,
    /// What happens.
    pub verdict: Verdict,
}

/// Whether a stage is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Verdict {
    /// Its result is taken from the store, or is part of one that is.
    Reused,
    /// It is run, for these reasons.
    Run(Vec<String>),
}

/// The file, in the folder of logs of a build, that says why it ran what it ran.
const FILE: &str = "explanation.json";

impl Explanation {
    /// Keeps it with the logs of a build.
    pub(crate) fn save(&self, logs: &Path) -> Result<()> {
        fs::write(logs.join(FILE), serde_json::to_vec(self)?)?;
        Ok(())
    }

    /// Reads that of the last build that ran anything; none if there was no such build.
    pub fn of_last_build(store: &Store) -> Result<Option<Self>> {
        let mut newest: Option<(SystemTime, PathBuf)> = None;
        for entry in fs::read_dir(store.logs_dir())? {
            let file = entry?.path().join(FILE);
            if let Ok(metadata) = fs::metadata(&file) {
                newest = newest.max(Some((metadata.modified()?, file)));
            }
        }
        let Some((_, file)) = newest else {
            return Ok(None);
        };
        let text = fs::read(&file)?;
        serde_json::from_slice(&text)
            .with_context(|| format!("reading {}", file.display()))
            .map(Some)
    }

    /// Writes it for people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for pipeline in &self.pipelines {
            let count = pipeline.stages.len();
            let reused = pipeline.stages.iter();
            let reused = reused.filter(|stage| stage.verdict == Verdict::Reused);
            let state = match (count, reused.count()) {
                (0, _) => "not needed".to_owned(),
                (count, reused) if count == reused => format!("reused, {}", stages(count)),
                (count, 0) => format!("{} to run", stages(count)),
                (count, reused) => format!("{} reused, {} to run", stages(reused), count - reused),
            };
            writeln!(text, "pipeline {}: {state}", pipeline.name)
                .expect("writing to a string does not fail");
            for (number, stage) in pipeline.stages.iter().enumerate() {
                if let Verdict::Run(reasons) = &stage.verdict {
                    writeln!(text, "  {} {}", number + 1, stage.name)
                        .expect("writing to a string does not fail");
                    for reason in reasons {
                        writeln!(text, "      {reason}")
                            .expect("writing to a string does not fail");
                    }
                }
            }
        }
        text
    }
}

fn stages(count: usize) -> String {
    format!("{count} stage{}", if count == 1 { "" } else { "s" })
}

/// The key of a stage whose result is kept, or was part of the way to one that is.
struct Known {
    pipeline: String,
    key: String,
    parts: Map<String, Value>,
}

/// Explains a plan.
pub(crate) fn explain(
    manifest: &Manifest,
    plan: &Plan,
    steps: &StepCache<'_>,
    store: &Store,
) -> Result<Explanation> {
    let known = known_keys(store)?;
    let mut pipelines = Vec::new();
    for (index, pipeline) in manifest.pipelines.iter().enumerate() {
        let step = plan.steps.iter().find(|step| step.pipeline == index);
        let first = match step {
            Some(step) => step.first_stage,
            None if plan.reused.contains(&index) => pipeline.stages.len(),
            None => {
                pipelines.push(PipelineExplanation {
                    name: pipeline.name.clone(),
                    stages: Vec::new(),
                });
                continue;
            }
        };
        let stages = pipeline.stages.iter().enumerate();
        let stages = stages.map(|(stage, description)| StageExplanation {
            name: description.name.clone(),
            verdict: if stage < first {
                Verdict::Reused
            } else if steps.is_forced(index, stage) {
                Verdict::Run(vec!["asked for with --cache-from".to_owned()])
            } else {
                let key = &steps.keys[index][stage];
                Verdict::Run(reasons(&known, &pipeline.name, &key.key, &key.parts))
            },
        });
        pipelines.push(PipelineExplanation {
            name: pipeline.name.clone(),
            stages: stages.collect(),
        });
    }
    Ok(Explanation { pipelines })
}

/// Reads the keys of all that is kept, the last used first.
fn known_keys(store: &Store) -> Result<Vec<Known>> {
    let mut known = Vec::new();
    for parts in store.step_parts()? {
        let Some(stages) = parts.get("stages").and_then(Value::as_array) else {
            continue;
        };
        for stage in stages {
            let text = |name: &str| stage.get(name).and_then(Value::as_str).map(str::to_owned);
            let parts = stage.get("parts").and_then(Value::as_object).cloned();
            if let (Some(pipeline), Some(key), Some(parts)) = (text("pipeline"), text("key"), parts)
            {
                known.push(Known {
                    pipeline,
                    key,
                    parts,
                });
            }
        }
    }
    Ok(known)
}

/// Compares the key of a stage with the nearest that is known.
fn reasons(known: &[Known], pipeline: &str, key: &str, parts: &Value) -> Vec<String> {
    let Some(parts) = parts.as_object() else {
        return Vec::new();
    };
    if known.iter().any(|known| known.key == key) {
        return vec![
            "its result is not kept by itself: it takes less time than that is worth".to_owned(),
        ];
    }
    let nearest = known
        .iter()
        .filter(|known| known.parts.get("type") == parts.get("type"))
        .map(|known| (differences(&known.parts, parts), known))
        .min_by_key(|(differences, known)| (differences.len(), known.pipeline != pipeline));
    let Some((mut differences, _)) = nearest else {
        return vec!["no result of such a stage is in the store".to_owned()];
    };
    if differences.is_empty() {
        return vec!["the stage before it is run".to_owned()];
    }
    let more = differences.len().saturating_sub(SHOWN_DIFFERENCES);
    if more > 0 {
        differences.truncate(SHOWN_DIFFERENCES);
        differences.push(format!("and {more} more differences"));
    }
    differences
}

/// Lists in what two keys differ, but for the stage before.
fn differences(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    let get = |parts: &Map<String, Value>, name: &str| parts.get(name).cloned().unwrap_or_default();
    let changed = |name: &str| {
        let (before, after) = (get(before, name), get(after, name));
        (!is_same(&before, &after)).then_some((before, after))
    };
    if changed("code").is_some() {
        found.push("module code changed".to_owned());
    }
    if let Some((before, after)) = changed("options") {
        let length = found.len();
        compare_values("option", "", &before, &after, &mut found);
        if found.len() == length {
            found.push("the order of options changed".to_owned());
        }
    }
    for (part, noun) in [
        ("inputs", "input"),
        ("devices", "device"),
        ("mounts", "mount"),
    ] {
        if let Some((before, after)) = changed(part) {
            compare_named(noun, &before, &after, &mut found);
        }
    }
    if let Some((before, after)) = changed("build") {
        found.push(build_difference(&before, &after));
    }
    if changed("runner").is_some() && changed("code").is_none() {
        found.push("runner changed".to_owned());
    }
    for (part, noun) in [
        ("source-epoch", "source-epoch"),
        ("capabilities", "capabilities of the module"),
        ("kernel", "running kernel"),
        ("format", "format of keys"),
    ] {
        if let Some((before, after)) = changed(part) {
            found.push(format!("{noun}: {} → {}", shown(&before), shown(&after)));
        }
    }
    found
}

/// Compares the texts: maps are equal whatever their order is, which counts here.
fn is_same(before: &Value, after: &Value) -> bool {
    let texts = [before, after].map(Value::to_string);
    texts[0] == texts[1]
}

fn build_difference(before: &Value, after: &Value) -> String {
    match (before.get("host"), after.get("host")) {
        (Some(before), Some(after)) => {
            let empty = Map::new();
            let (before, after) = (
                before.as_object().unwrap_or(&empty),
                after.as_object().unwrap_or(&empty),
            );
            let names: Vec<&str> = before
                .keys()
                .chain(after.keys().filter(|name| !before.contains_key(*name)))
                .filter(|name| before.get(*name) != after.get(*name))
                .map(String::as_str)
                .collect();
            format!("the host it runs on changed ({})", names.join(", "))
        }
        (None, None) => "build tree changed".to_owned(),
        _ => "it runs in another tree: the host, or that of a pipeline".to_owned(),
    }
}

/// Compares inputs, devices or mounts.
fn compare_named(noun: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    let empty = Map::new();
    let (before, after) = (
        before.as_object().unwrap_or(&empty),
        after.as_object().unwrap_or(&empty),
    );
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        found.push(format!("{noun} `{name}` is gone"));
    }
    for (name, after) in after {
        let Some(before) = before.get(name) else {
            found.push(format!("{noun} `{name}` is new"));
            continue;
        };
        if is_same(before, after) {
            continue;
        }
        let length = found.len();
        compare_references(name, before, after, found);
        if before.get("code") != after.get("code") {
            found.push(format!("{noun} `{name}`: module code changed"));
        }
        for part in [
            "type",
            "origin",
            "parent",
            "device",
            "partition",
            "target",
            "options",
        ] {
            let (before, after) = (before.get(part), after.get(part));
            if before != after {
                let missing = Value::Null;
                compare_values(
                    &format!("{noun} `{name}`:"),
                    part,
                    before.unwrap_or(&missing),
                    after.unwrap_or(&missing),
                    found,
                );
            }
        }
        if found.len() == length {
            found.push(format!("the order of {noun} `{name}` changed"));
        }
    }
}

/// Compares what an input brings.
fn compare_references(input: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    let empty = Map::new();
    let of = |value: &Value| value.get("references").and_then(Value::as_object).cloned();
    let (before, after) = (of(before), of(after));
    let (before, after) = (
        before.as_ref().unwrap_or(&empty),
        after.as_ref().unwrap_or(&empty),
    );
    let gone = before
        .keys()
        .filter(|name| !after.contains_key(*name))
        .count();
    let new = after
        .keys()
        .filter(|name| !before.contains_key(*name))
        .count();
    if gone + new > 0 {
        found.push(format!(
            "input `{input}`: input digest changed, {new} new and {gone} gone"
        ));
    }
    for (name, after) in after {
        match before.get(name) {
            Some(before) if before.get("key") != after.get("key") => {
                found.push(format!(
                    "input `{input}`: the tree of pipeline `{name}` changed"
                ));
            }
            Some(before) if before != after => {
                found.push(format!("input `{input}`: options of `{name}` changed"));
            }
            _ => {}
        }
    }
}

/// Compares values and those in them; `path` is where they are.
fn compare_values(noun: &str, path: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let join = |name: &str| match path {
                "" => name.to_owned(),
                path => format!("{path}.{name}"),
            };
            for (name, before) in before {
                let after = after.get(name);
                match after {
                    Some(after) => compare_values(noun, &join(name), before, after, found),
                    None => found.push(format!(
                        "{noun} `{}` is gone: {}",
                        join(name),
                        shown(before)
                    )),
                }
            }
            for (name, after) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
                found.push(format!("{noun} `{}` is new: {}", join(name), shown(after)));
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() != after.len() => {
            let new: Vec<_> = after
                .iter()
                .filter(|value| !before.contains(value))
                .collect();
            let gone: Vec<_> = before
                .iter()
                .filter(|value| !after.contains(value))
                .collect();
            let mut text = format!("{noun} `{path}`:");
            for (word, values) in [("added", new), ("taken away", gone)] {
                if !values.is_empty() {
                    write!(text, " {word} {}", listed(&values))
                        .expect("writing to a string does not fail");
                }
            }
            found.push(text);
        }
        (Value::Array(before), Value::Array(after)) => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                compare_values(noun, &format!("{path}[{index}]"), before, after, found);
            }
        }
        (before, after) if before != after => {
            found.push(format!(
                "{noun} `{path}`: {} → {}",
                shown(before),
                shown(after)
            ));
        }
        _ => {}
    }
}

fn listed(values: &[&Value]) -> String {
    let mut texts: Vec<String> = values
        .iter()
        .take(SHOWN_ENTRIES)
        .map(|value| shown(value))
        .collect();
    if values.len() > SHOWN_ENTRIES {
        texts.push(format!("{} more", values.len() - SHOWN_ENTRIES));
    }
    texts.join(", ")
}

/// Writes a value for people: texts as code, the rest as JSON, long ones cut.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => format!("`{text}`"),
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What a stage with these parts is said to be run for, after one with those.
    fn said(before: &Value, after: &Value) -> Vec<String> {
        let complete = |parts: &Value| {
            let mut all = json!({"type": "org.osbuild.users", "code": "c", "options": {}, "inputs": {},
                "devices": {}, "mounts": {}, "build": {"pipeline": "b"}, "base": "x"});
            let all_parts = all.as_object_mut().unwrap();
            all_parts.extend(parts.as_object().unwrap().clone());
            all
        };
        let known = [Known {
            pipeline: "os".to_owned(),
            key: "before".to_owned(),
            parts: complete(before).as_object().unwrap().clone(),
        }];
        reasons(&known, "os", "after", &complete(after))
    }

    #[test]
    fn differences_are_told_in_words() {
        let cases = [
            (
                json!({"options": {"users": {"alice": {"shell": "/bin/sh"}}}}),
                json!({"options": {"users": {"alice": {"shell": "/bin/bash"}}}}),
                "option `users.alice.shell`: `/bin/sh` → `/bin/bash`",
            ),
            (
                json!({"options": {"packages": ["a", "b"]}}),
                json!({"options": {"packages": ["a", "c", "d"]}}),
                "option `packages`: added `c`, `d` taken away `b`",
            ),
            (
                json!({"options": {"a": 1, "b": 2}}),
                json!({"options": {"b": 2, "a": 1}}),
                "the order of options changed",
            ),
            (
                json!({"options": {"a": 1}}),
                json!({"options": {}}),
                "option `a` is gone: 1",
            ),
            (
                json!({"code": "old"}),
                json!({"code": "new"}),
                "module code changed",
            ),
            (
                json!({"build": {"pipeline": "old"}}),
                json!({"build": {"pipeline": "new"}}),
                "build tree changed",
            ),
            (
                json!({"build": {"host": {"/usr/bin": "1", "x": "y"}}}),
                json!({"build": {"host": {"/usr/bin": "2", "x": "y"}}}),
                "the host it runs on changed (/usr/bin)",
            ),
            (
                json!({"inputs": {"packages": {"references": {"sha256:1": {}, "sha256:2": {}}}}}),
                json!({"inputs": {"packages": {"references": {"sha256:1": {}, "sha256:3": {}}}}}),
                "input `packages`: input digest changed, 1 new and 1 gone",
            ),
            (
                json!({"inputs": {"tree": {"references": {"os": {"key": "1"}}}}}),
                json!({"inputs": {"tree": {"references": {"os": {"key": "2"}}}}}),
                "input `tree`: the tree of pipeline `os` changed",
            ),
            (
                json!({"devices": {"disk": {"options": {"start": 1}}}}),
                json!({"devices": {"disk": {"options": {"start": 2}}}}),
                "device `disk`: `options.start`: 1 → 2",
            ),
            (
                json!({"source-epoch": null}),
                json!({"source-epoch": 5}),
                "source-epoch: null → 5",
            ),
            (
                json!({"base": "x"}),
                json!({"base": "y"}),
                "the stage before it is run",
            ),
        ];
        for (before, after, expected) in cases {
            assert_eq!(said(&before, &after), [expected]);
        }
    }

    #[test]
    fn the_nearest_of_several_is_compared_with() {
        let known = |pipeline: &str, options: Value| Known {
            pipeline: pipeline.to_owned(),
            key: String::new(),
            parts: json!({"type": "t", "options": options})
                .as_object()
                .unwrap()
                .clone(),
        };
        let all = [
            known("a", json!({"x": 1, "y": 1})),
            known("b", json!({"x": 2, "y": 3})),
            known("c", json!({"x": 2, "y": 4})),
        ];
        let parts = json!({"type": "t", "options": {"x": 2, "y": 2}});
        assert_eq!(reasons(&all, "c", "k", &parts), ["option `y`: 4 → 2"]);
        assert_eq!(
            reasons(&all, "c", "k", &json!({"type": "u"})),
            ["no result of such a stage is in the store"]
        );
    }

    #[test]
    fn the_text_leaves_out_what_is_reused() {
        let stage = |name: &str, verdict| StageExplanation {
            name: name.to_owned(),
            verdict,
        };
        let explanation = Explanation {
            pipelines: vec![
                PipelineExplanation {
                    name: "build".to_owned(),
                    stages: vec![stage("a", Verdict::Reused)],
                },
                PipelineExplanation {
                    name: "os".to_owned(),
                    stages: vec![
                        stage("a", Verdict::Reused),
                        stage("b", Verdict::Run(vec!["because".to_owned()])),
                    ],
                },
                PipelineExplanation {
                    name: "other".to_owned(),
                    stages: Vec::new(),
                },
            ],
        };
        assert_eq!(
            explanation.to_text(),
            "pipeline build: reused, 1 stage\n\
             pipeline os: 1 stage reused, 1 to run\n  2 b\n      because\n\
             pipeline other: not needed\n"
        );
    }
}
