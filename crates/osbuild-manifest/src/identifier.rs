//! Ids: SHA-256 over the concatenated JSON texts of what counts.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::manifest::{Device, Input, Mount, Stage, StageId};
use crate::value::{Object, Value};

/// Computes the id of a stage (upstream: `Stage.id`). Devices count only through the mounts that use them.
pub fn stage_id(stage: &Stage) -> StageId {
    let mut digest = JsonDigest::default();
    digest.add(&Value::from(stage.name.as_str()));
    digest.add(&optional_id(stage.build.as_ref()));
    digest.add(&optional_id(stage.base.as_ref()));
    digest.add(&stage.options);
    if let Some(epoch) = stage.source_epoch {
        digest.add(&Value::from(epoch));
    }
    if !stage.inputs.is_empty() {
        let inputs: Object = stage
            .inputs
            .iter()
            .map(|(name, input)| (name.as_str(), Value::from(input.id.as_str())))
            .collect();
        digest.add(&Value::Object(inputs));
    }
    if !stage.mounts.is_empty() {
        let mounts: Vec<Value> = stage
            .mounts
            .iter()
            .map(|mount| Value::from(mount.id.as_str()))
            .collect();
        digest.add(&Value::Array(mounts));
    }
    StageId::new(digest.finish())
}

fn optional_id(id: Option<&StageId>) -> Value {
    id.map_or(Value::Null, |id| Value::from(id.as_str()))
}

/// Computes the id of an input (upstream: `Input.calc_id`); its name does not count.
pub fn input_id(input: &Input) -> String {
    let references: Object = input
        .references
        .iter()
        .map(|(name, options)| (name.as_str(), options.clone()))
        .collect();
    let mut digest = JsonDigest::default();
    digest.add(&Value::from(input.kind.as_str()));
    digest.add(&Value::from(input.origin.as_str()));
    digest.add(&Value::Object(references));
    digest.add(&input.options);
    digest.finish()
}

/// Computes the id of a device on a parent (upstream: `Device.calc_id`); its name does not count.
pub fn device_id(device: &Device, parent: Option<&Device>) -> String {
    let mut digest = JsonDigest::default();
    digest.add(&Value::from(device.kind.as_str()));
    if let Some(parent) = parent {
        digest.add(&Value::from(parent.id.as_str()));
    }
    digest.add(&device.options);
    digest.finish()
}

/// Computes the id of a mount of a device (upstream: `Mount.calc_id`); its name does not count, nor do a partition of 0
/// and an empty target.
pub fn mount_id(mount: &Mount, device: Option<&Device>) -> String {
    let mut digest = JsonDigest::default();
    digest.add(&Value::from(mount.kind.as_str()));
    if let Some(device) = device {
        digest.add(&Value::from(device.id.as_str()));
    }
    if let Some(partition) = mount
        .partition
        .as_ref()
        .filter(|partition| partition.is_truthy())
    {
        digest.add(partition);
    }
    if let Some(target) = mount.target.as_deref().filter(|target| !target.is_empty()) {
        digest.add(&Value::from(target));
    }
    digest.add(&mount.options);
    digest.finish()
}

/// Computes the id of a source (upstream: `Source.id`).
pub fn source_id(name: &str, items: &Object) -> String {
    let mut digest = JsonDigest::default();
    digest.add(&Value::from(name));
    digest.add(&Value::Object(items.clone()));
    digest.finish()
}

/// Computes the digest of the sorted JSON text of one value.
pub fn value_id(value: &Value) -> String {
    let mut digest = JsonDigest::default();
    digest.add(value);
    digest.finish()
}

#[derive(Default)]
struct JsonDigest(Sha256);

impl JsonDigest {
    fn add(&mut self, value: &Value) {
        self.0.update(value.to_sorted_python_json());
    }

    fn finish(self) -> String {
        self.0
            .finalize()
            .iter()
            .fold(String::with_capacity(64), |mut text, byte| {
                write!(text, "{byte:02x}").expect("writing to a string never fails");
                text
            })
    }
}
