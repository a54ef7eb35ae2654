//! How format 2 is shown (upstream: `formats/v2.py`, `describe`).

use std::collections::HashMap;

use crate::manifest::{Device, Input, Manifest, Mount, Pipeline, PipelineId, Stage};
use crate::value::{Object, Value};

pub(crate) fn inspect(manifest: &Manifest) -> Value {
    // The runner is shown with the pipeline that is the build root, not with those that it serves.
    let runners: HashMap<&PipelineId, &str> = manifest
        .pipelines
        .iter()
        .filter_map(|pipeline| Some((pipeline.build.as_ref()?, pipeline.runner.requested.as_str())))
        .collect();
    let pipelines: Vec<Value> = manifest
        .pipelines
        .iter()
        .map(|pipeline| describe_pipeline(pipeline, &runners))
        .collect();
    let sources: Object = manifest
        .sources
        .iter()
        .map(|source| {
            (
                source.name.as_str(),
                Object::from_iter([("items", source.items.clone().into())]).into(),
            )
        })
        .collect();
    let mut description = Object::new();
    description.insert("version", Value::from("2"));
    description.insert("pipelines", pipelines.into());
    insert_truthy(
        &mut description,
        "metadata",
        manifest.metadata.clone().into(),
    );
    insert_truthy(&mut description, "sources", sources.into());
    description.into()
}

fn insert_truthy(description: &mut Object, key: &str, value: Value) {
    if value.is_truthy() {
        description.insert(key, value);
    }
}

fn describe_pipeline(pipeline: &Pipeline, runners: &HashMap<&PipelineId, &str>) -> Value {
    let mut description = Object::new();
    description.insert("name", Value::from(pipeline.name.as_str()));
    if let Some(build) = &pipeline.build {
        description.insert("build", Value::from(build.as_str()));
    }
    if let Some(&runner) = pipeline.id().and_then(|id| runners.get(id)) {
        description.insert("runner", Value::from(runner));
    }
    let stages: Vec<Value> = pipeline.stages.iter().map(describe_stage).collect();
    insert_truthy(&mut description, "stages", stages.into());
    description.into()
}

fn describe_stage(stage: &Stage) -> Value {
    let devices: Object = stage
        .devices
        .values()
        .map(|device| (device.name.as_str(), describe_device(device)))
        .collect();
    let mounts: Vec<Value> = stage.mounts.iter().map(describe_mount).collect();
    let inputs: Object = stage
        .inputs
        .values()
        .map(|input| (input.name.as_str(), describe_input(input)))
        .collect();
    let mut description = Object::new();
    description.insert("type", Value::from(stage.name.as_str()));
    description.insert("id", Value::from(stage.id.as_str()));
    insert_truthy(&mut description, "options", stage.options.clone());
    insert_truthy(&mut description, "devices", devices.into());
    insert_truthy(&mut description, "mounts", mounts.into());
    insert_truthy(&mut description, "inputs", inputs.into());
    description.into()
}

/// Upstream does not show the parent.
fn describe_device(device: &Device) -> Value {
    let mut description = Object::new();
    description.insert("type", Value::from(device.kind.as_str()));
    insert_truthy(&mut description, "options", device.options.clone());
    description.into()
}

fn describe_mount(mount: &Mount) -> Value {
    let mut description = Object::new();
    description.insert("name", Value::from(mount.name.as_str()));
    description.insert("type", Value::from(mount.kind.as_str()));
    description.insert(
        "target",
        mount.target.as_deref().map_or(Value::Null, Value::from),
    );
    if let Some(device) = &mount.device {
        description.insert("source", Value::from(device.as_str()));
    }
    insert_truthy(&mut description, "options", mount.options.clone());
    if let Some(partition) = &mount.partition {
        insert_truthy(&mut description, "partition", partition.clone());
    }
    description.into()
}

fn describe_input(input: &Input) -> Value {
    let references: Object = input
        .references
        .iter()
        .map(|(name, options)| (name.as_str(), options.clone()))
        .collect();
    let mut description = Object::new();
    description.insert("type", Value::from(input.kind.as_str()));
    description.insert("origin", Value::from(input.origin.as_str()));
    insert_truthy(&mut description, "options", input.options.clone());
    insert_truthy(&mut description, "references", references.into());
    description.into()
}
