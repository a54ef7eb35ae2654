//! The arguments that a stage reads at `/run/osbuild/api/arguments` (upstream's wire format).

use std::path::Path;

use osbuild_manifest::manifest::{Pipeline, Stage};
use osbuild_manifest::value::{Object, Value};
use osbuild_sandbox::build_root::{INPUTS, MOUNTS, TREE};

/// Where device nodes are inside the sandbox.
pub(crate) const DEVICES: &str = "/dev";

/// What the services on the host answered, ready to be handed in: name to reply.
#[derive(Debug, Default)]
pub(crate) struct ServiceReplies {
    pub(crate) devices: Object,
    pub(crate) inputs: Object,
    pub(crate) mounts: Object,
}

/// Puts the arguments of a stage together.
pub(crate) fn stage_arguments(
    pipeline: &Pipeline,
    stage: &Stage,
    replies: ServiceReplies,
) -> Value {
    let paths = object([
        ("devices", DEVICES.into()),
        ("inputs", INPUTS.into()),
        ("mounts", MOUNTS.into()),
    ]);
    let mut meta = object([("id", stage.id.as_str().into())]);
    if let Some(epoch) = pipeline.source_epoch {
        meta.insert("source-epoch", epoch.into());
    }
    Value::Object(object([
        ("tree", TREE.into()),
        ("paths", Value::Object(paths)),
        ("devices", Value::Object(replies.devices)),
        ("inputs", Value::Object(replies.inputs)),
        ("mounts", Value::Object(replies.mounts)),
        ("options", stage.options.clone()),
        ("meta", Value::Object(meta)),
    ]))
}

/// Makes an object of these members.
pub(crate) fn object<const N: usize>(members: [(&str, Value); N]) -> Object {
    let mut object = Object::new();
    for (key, value) in members {
        object.insert(key, value);
    }
    object
}

/// Joins a path inside the sandbox the way upstream does: root, slash, relative path, no
/// normalisation, so that a mount at the top reads `/run/osbuild/mounts/.`.
pub(crate) fn below(root: &str, relative: &Path) -> String {
    let relative = relative.to_string_lossy();
    if relative.is_empty() {
        format!("{root}/.")
    } else {
        format!("{root}/{relative}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_join_as_upstream_joins_them() {
        assert_eq!(below(MOUNTS, Path::new("")), "/run/osbuild/mounts/.");
        assert_eq!(
            below(MOUNTS, Path::new("boot/efi")),
            "/run/osbuild/mounts/boot/efi"
        );
    }
}
