//! The key of a stage's result: a digest of all that can change it.
//!
//! An id is upstream's, and leaves out devices, the code of modules and the tree that a stage runs in when that is the
//! host. The key has these too, and the keys of what the stage builds on: a result is used again only if its key is the
//! same. What it is made of is kept as JSON, for [`crate::explain`].

use anyhow::{Context as _, Result};
use indexmap::IndexMap;
use osbuild_manifest::manifest::{Manifest, Origin, Pipeline, Stage};
use osbuild_manifest::module::{ModuleIndex as _, ModuleKind};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::code_digest::CodeDigests;
use crate::module_catalog::ModuleCatalog;

/// Raised when the parts of keys change their meaning; nothing that was kept before is used afterwards.
const KEY_FORMAT: u32 = 1;

/// The key of the result of one stage.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StageKey {
    /// 64 hexadecimal digits.
    pub(crate) key: String,
    /// What it is made of.
    pub(crate) parts: Value,
}

/// The keys of all stages, by pipeline and stage.
pub(crate) type Keys = Vec<Vec<StageKey>>;

/// Computes the keys of all stages of a manifest.
pub(crate) fn keys(
    manifest: &Manifest,
    catalog: &ModuleCatalog,
    digests: &CodeDigests,
) -> Result<Keys> {
    let mut keys: Keys = Vec::new();
    for pipeline in &manifest.pipelines {
        let finder = Finder {
            manifest,
            catalog,
            digests,
            earlier: &keys,
        };
        let of_pipeline = finder
            .keys_of(pipeline)
            .with_context(|| format!("computing the cache keys of pipeline `{}`", pipeline.name))?;
        keys.push(of_pipeline);
    }
    Ok(keys)
}

struct Finder<'a> {
    manifest: &'a Manifest,
    catalog: &'a ModuleCatalog,
    digests: &'a CodeDigests,
    /// Those of the pipelines before, which are all that one can refer to.
    earlier: &'a [Vec<StageKey>],
}

impl Finder<'_> {
    fn keys_of(&self, pipeline: &Pipeline) -> Result<Vec<StageKey>> {
        let surroundings = self.surroundings(pipeline)?;
        let mut keys: Vec<StageKey> = Vec::new();
        for stage in &pipeline.stages {
            let mut parts = self.parts_of(stage)?;
            parts.extend(surroundings.clone());
            let base = keys.last().map(|base| base.key.clone());
            parts.insert("base".to_owned(), base.into());
            let parts = Value::Object(parts);
            keys.push(StageKey {
                key: digest(&parts, stage),
                parts,
            });
        }
        Ok(keys)
    }

    /// Gives what all stages of a pipeline have in common.
    fn surroundings(&self, pipeline: &Pipeline) -> Result<Map<String, Value>> {
        let build = match &pipeline.build {
            Some(id) => json!({ "pipeline": self.key_of_pipeline(id.as_str()) }),
            None => json!({ "host": self.digests.host()? }),
        };
        let runner = self.catalog.foreign_runner(&pipeline.runner);
        let code = match &runner {
            Some(file) => self.digests.file(file)?,
            None => self.digests.program()?,
        };
        Ok(members([
            ("build", build),
            (
                "runner",
                json!({ "name": pipeline.runner.file_name, "code": code }),
            ),
            ("source-epoch", pipeline.source_epoch.into()),
        ]))
    }

    /// Gives the key of the tree of another pipeline; null if there is no tree.
    fn key_of_pipeline(&self, id: &str) -> Value {
        let index = self.manifest.find_pipeline(id);
        let keys = index.and_then(|index| self.earlier.get(index));
        keys.and_then(|keys| keys.last())
            .map_or(Value::Null, |last| last.key.as_str().into())
    }

    fn parts_of(&self, stage: &Stage) -> Result<Map<String, Value>> {
        let module = self
            .catalog
            .module(stage.kind, &stage.name)
            .with_context(|| format!("there is no {} `{}`", stage.kind.noun(), stage.name))?;
        let mut parts = members([
            ("format", KEY_FORMAT.into()),
            ("type", stage.name.as_str().into()),
            ("code", self.code(stage.kind, &stage.name)?),
            ("capabilities", json!(module.capabilities)),
            ("options", stage.options.to_serde()),
            ("inputs", self.inputs(stage)?),
            ("devices", self.devices(stage)?),
            ("mounts", self.mounts(stage)?),
        ]);
        if !stage.devices.is_empty() || !stage.mounts.is_empty() {
            // File systems are written by the running kernel.
            parts.insert("kernel".to_owned(), CodeDigests::kernel().into());
        }
        Ok(parts)
    }

    fn code(&self, kind: ModuleKind, name: &str) -> Result<Value> {
        let code = self.digests.module(self.catalog, kind, name)?;
        Ok(code.into())
    }

    fn inputs(&self, stage: &Stage) -> Result<Value> {
        let mut inputs = Map::new();
        for (name, input) in &stage.inputs {
            let references: IndexMap<_, _> = input
                .references
                .iter()
                .enumerate()
                .map(|(index, (reference, options))| match input.origin {
                    // Items of sources are named by what they contain.
                    Origin::Source => (reference.clone(), options.to_serde()),
                    Origin::Pipeline => (
                        self.name_of_pipeline(reference, index),
                        json!({ "key": self.key_of_pipeline(reference), "options": options.to_serde() }),
                    ),
                })
                .collect();
            inputs.insert(
                name.clone(),
                json!({
                    "type": input.kind,
                    "code": self.code(ModuleKind::Input, &input.kind)?,
                    "origin": input.origin.as_str(),
                    "references": references,
                    "options": input.options.to_serde(),
                }),
            );
        }
        Ok(inputs.into())
    }

    /// Gives a name under which people find a pipeline. It counts as well: stages see the references of their inputs.
    fn name_of_pipeline(&self, id: &str, index: usize) -> String {
        let pipeline = self.manifest.find_pipeline(id);
        pipeline.map_or_else(
            || format!("{index}"),
            |pipeline| self.manifest.pipelines[pipeline].name.clone(),
        )
    }

    fn devices(&self, stage: &Stage) -> Result<Value> {
        let mut devices = Map::new();
        for (name, device) in &stage.devices {
            devices.insert(
                name.clone(),
                json!({
                    "type": device.kind,
                    "code": self.code(ModuleKind::Device, &device.kind)?,
                    "parent": device.parent,
                    "options": device.options.to_serde(),
                }),
            );
        }
        Ok(devices.into())
    }

    fn mounts(&self, stage: &Stage) -> Result<Value> {
        let mut mounts = Map::new();
        for mount in &stage.mounts {
            let partition = mount
                .partition
                .as_ref()
                .map(osbuild_manifest::value::Value::to_serde);
            mounts.insert(
                mount.name.clone(),
                json!({
                    "type": mount.kind,
                    "code": self.code(ModuleKind::Mount, &mount.kind)?,
                    "device": mount.device,
                    "partition": partition,
                    "target": mount.target,
                    "options": mount.options.to_serde(),
                }),
            );
        }
        Ok(mounts.into())
    }
}

/// Computes the key. Options count in the order in which they are written: some stages, that of users for one, do one
/// after the other.
fn digest(parts: &Value, stage: &Stage) -> String {
    let mut hash = Sha256::new();
    hash.update(parts.to_string());
    // As JSON of Python has it, which tells what is not in the parts: NaN and halves of characters.
    hash.update(stage.options.to_python_json());
    hexadecimal(&hash.finalize())
}

/// Writes bytes as hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

fn members<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use osbuild_manifest::resolve::resolve;

    use super::*;

    fn keys_of(manifest: &Value) -> Keys {
        keys_with(manifest, &CodeDigests::fixed("program", "host"))
    }

    fn keys_with(manifest: &Value, digests: &CodeDigests) -> Keys {
        let text = manifest.to_string();
        let value = osbuild_manifest::value::Value::from_json(&text).unwrap();
        let catalog = ModuleCatalog::built_in();
        let manifest = resolve(&value, &catalog, "org.osbuild.linux").unwrap();
        keys(&manifest, &catalog, digests).unwrap()
    }

    /// `build` serves `os`; `disk` reads the tree of `os` and works on a device.
    fn manifest() -> Value {
        json!({"version": "2", "pipelines": [
            {"name": "build", "stages": [{"type": "org.osbuild.noop", "options": {"n": 1}}]},
            {"name": "os", "build": "name:build", "source-epoch": 1, "stages": [
                {"type": "org.osbuild.noop", "options": {"a": 1, "b": 2}},
                {"type": "org.osbuild.noop", "options": {"n": 3}}]},
            {"name": "disk", "stages": [
                {"type": "org.osbuild.copy",
                 "inputs": {"tree": {"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline",
                            "references": ["name:os"]}},
                 "devices": {"disk": {"type": "org.osbuild.loopback", "options": {"filename": "disk.img"}}},
                 "mounts": [{"name": "root", "type": "org.osbuild.ext4", "source": "disk", "target": "/"}],
                 "options": {"paths": [{"from": "input://tree/", "to": "mount://root/"}]}}]}
        ]})
    }

    /// Tells for each stage whether its key differs from that of the manifest above.
    fn changed_by(change: impl FnOnce(&mut Value)) -> [bool; 4] {
        let mut changed = manifest();
        change(&mut changed);
        differences(&keys_of(&changed))
    }

    fn differences(found: &Keys) -> [bool; 4] {
        let before: Vec<_> = keys_of(&manifest()).concat();
        let after: Vec<_> = found.concat();
        assert_eq!((before.len(), after.len()), (4, 4));
        std::array::from_fn(|index| before[index].key != after[index].key)
    }

    #[test]
    fn equal_manifests_have_equal_keys() {
        assert_eq!(keys_of(&manifest()), keys_of(&manifest()));
        let keys = keys_of(&manifest()).concat();
        assert!(keys.iter().all(|key| key.key.len() == 64));
        assert_eq!(changed_by(|_| {}), [false; 4]);
    }

    #[test]
    fn a_change_reaches_all_that_builds_on_it_and_nothing_else() {
        type Change = (&'static str, fn(&mut Value), [bool; 4]);
        let changes: [Change; 8] = [
            (
                "an option of the build tree",
                |manifest| manifest["pipelines"][0]["stages"][0]["options"]["n"] = 9.into(),
                [true; 4],
            ),
            (
                "the last stage of a tree",
                |manifest| manifest["pipelines"][1]["stages"][1]["options"]["n"] = 9.into(),
                [false, false, true, true],
            ),
            (
                "the order of options",
                |manifest| {
                    manifest["pipelines"][1]["stages"][0]["options"] = json!({"b": 2, "a": 1});
                },
                [false, true, true, true],
            ),
            (
                "the epoch",
                |manifest| manifest["pipelines"][1]["source-epoch"] = 2.into(),
                [false, true, true, true],
            ),
            (
                "an option of a device, which no id has",
                |manifest| {
                    manifest["pipelines"][2]["stages"][0]["devices"]["disk"]["options"]["filename"] =
                        "other.img".into();
                },
                [false, false, false, true],
            ),
            (
                "the target of a mount",
                |manifest| {
                    manifest["pipelines"][2]["stages"][0]["mounts"][0]["target"] = "/boot".into();
                },
                [false, false, false, true],
            ),
            (
                "an option of an input",
                |manifest| {
                    manifest["pipelines"][2]["stages"][0]["inputs"]["tree"]["references"] =
                        json!({"name:os": {"x": 1}});
                },
                [false, false, false, true],
            ),
            (
                "the build tree itself",
                |manifest| {
                    manifest["pipelines"][1]
                        .as_object_mut()
                        .unwrap()
                        .remove("build");
                },
                [false, true, true, true],
            ),
        ];
        for (what, change, expected) in changes {
            assert_eq!(changed_by(change), expected, "{what}");
        }
    }

    #[test]
    fn code_and_host_count() {
        let program = CodeDigests::fixed("newer", "host");
        assert_eq!(differences(&keys_with(&manifest(), &program)), [true; 4]);
        let host = CodeDigests::fixed("program", "other");
        assert_eq!(differences(&keys_with(&manifest(), &host)), [true; 4]);
    }
}
