//! The calls that foreign sources, inputs, devices and mounts understand: what they are told, and what they answer.
//!
//! Answers are not trusted: a path must be where it was asked for.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};
use osbuild_manifest::manifest::{Device, Input, Mount, Source};
use osbuild_manifest::value::{Object, Value};
use osbuild_sandbox::build_root::{INPUTS, MOUNTS};

use crate::outcome::SourceResult;
use crate::stage_arguments::{DEVICES, below, object};

/// Tells an input what to lay out, and where.
pub(crate) fn map_arguments(input: &Input, target: &Path, store_socket: &Path) -> Value {
    let references = input
        .references
        .iter()
        .map(|(name, options)| (name.as_str(), options.clone()));
    let api = object([("store", text(store_socket))]);
    Value::Object(object([
        ("origin", input.origin.as_str().into()),
        ("refs", references.collect::<Object>().into()),
        ("target", text(target)),
        ("options", input.options.clone()),
        ("api", api.into()),
    ]))
}

/// Gives what the stage is told of an input; `root` is where inputs are on the host.
pub(crate) fn map_reply(reply: Value, root: &Path) -> Result<Object> {
    let mut reply = object_of(reply)?;
    let path = text_of(reply.get("path")).context("its answer has no `path`")?;
    let relative = relative_to(&path, root)?;
    reply.insert("path", below(INPUTS, &relative).into());
    Ok(reply)
}

/// Tells a device what to open.
pub(crate) fn open_arguments(
    device: &Device,
    devices: &Path,
    tree: &Path,
    parent: Option<&str>,
) -> Value {
    Value::Object(object([
        ("dev", text(devices)),
        ("tree", text(tree)),
        ("parent", parent.map_or(Value::Null, Value::from)),
        ("options", device.options.clone()),
    ]))
}

/// Gives the node of a device, relative to the stage's `/dev`, and what the stage is told.
pub(crate) fn open_reply(reply: Value) -> Result<(String, Object)> {
    let mut reply = object_of(reply)?;
    let path = text_of(reply.get("path")).context("its answer has no `path`")?;
    ensure!(
        stays_below(Path::new(&path)),
        "it returned {path}, which is not a path below /dev"
    );
    reply.insert("path", below(DEVICES, Path::new(&path)).into());
    Ok((path, reply))
}

/// Tells a mount what to mount, and where; `root` holds all mounts of the stage.
pub(crate) fn mount_arguments(
    mount: &Mount,
    source: Option<&Path>,
    root: &Path,
    tree: &Path,
) -> Value {
    let target = mount.target.as_deref().map_or(Value::Null, Value::from);
    Value::Object(object([
        ("source", source.map_or(Value::Null, text)),
        ("target", target),
        ("root", text(root)),
        ("tree", text(tree)),
        ("options", mount.options.clone()),
    ]))
}

/// Gives what the stage is told of a mount: nothing of one that acts on the tree.
pub(crate) fn mount_reply(reply: &Value, root: &Path) -> Result<Object> {
    if !reply.is_truthy() {
        return Ok(Object::new());
    }
    let path = text_of(Some(reply)).context("its answer is not a path")?;
    let relative = relative_to(&path, root)?;
    Ok(object([("path", below(MOUNTS, &relative).into())]))
}

/// Tells a source what to fetch.
pub(crate) fn download_arguments(source: &Source, cache: &Path) -> Value {
    Value::Object(object([
        ("items", source.items.clone().into()),
        ("options", source.options.clone()),
        ("cache", text(cache)),
        ("output", Value::Null),
        ("checksums", Vec::<Value>::new().into()),
    ]))
}

/// What a source answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Download {
    pub(crate) source_type: String,
    pub(crate) success: bool,
    pub(crate) results: Vec<SourceResult>,
}

/// Reads what came of a download.
pub(crate) fn download_reply(reply: &Value) -> Result<Download> {
    let member = |name: &str| {
        reply
            .get(name)
            .ok_or_else(|| anyhow!("its answer has no `{name}`"))
    };
    let source_type = text_of(Some(member("source_type")?)).unwrap_or_default();
    let success = member("success")?.is_truthy();
    let results = member("results")?
        .as_array()
        .context("the `results` of its answer are not a list")?;
    Ok(Download {
        source_type,
        success,
        results: results.iter().map(source_result).collect(),
    })
}

fn source_result(result: &Value) -> SourceResult {
    let of_item = |name: &str| result.get("metadata").and_then(|item| item.get(name));
    let failed = !result.get("success").is_some_and(Value::is_truthy);
    let error = text_of(result.get("error")).unwrap_or_default();
    SourceResult {
        checksum: text_of(of_item("checksum")),
        cached: of_item("cached").and_then(Value::as_bool),
        error: (failed || !error.is_empty()).then_some(error),
    }
}

/// Gives the part of a path below `root`, which it must not leave.
fn relative_to(path: &str, root: &Path) -> Result<PathBuf> {
    let relative = Path::new(path).strip_prefix(root).ok();
    let relative =
        relative.filter(|relative| relative.as_os_str().is_empty() || stays_below(relative));
    relative.map(Path::to_owned).ok_or_else(|| {
        anyhow!(
            "it returned {path}, which has the wrong prefix: it is not below {}",
            root.display()
        )
    })
}

/// Tells whether a path stays below the directory it is joined to.
pub(crate) fn stays_below(path: &Path) -> bool {
    !path.as_os_str().is_empty()
        && path
            .components()
            .all(|component| matches!(component, Component::Normal(_)))
}

fn object_of(reply: Value) -> Result<Object> {
    match reply {
        Value::Object(object) => Ok(object),
        other => Err(anyhow!("its answer is {}, no map", other.to_python_repr())),
    }
}

fn text_of(value: Option<&Value>) -> Option<String> {
    value?.as_str().map(str::to_owned)
}

fn text(path: &Path) -> Value {
    path.to_string_lossy().into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        Value::from_json(text).unwrap()
    }

    #[test]
    fn an_input_is_where_it_was_asked_for() {
        let root = Path::new("/tmp/inputs");
        let told = |reply: &str| {
            map_reply(value(reply), root)
                .map(|reply| Value::Object(reply).to_python_json())
                .map_err(|error| error.to_string())
        };
        assert_eq!(
            told(r#"{"path": "/tmp/inputs/tree", "data": {"x": 1}}"#),
            Ok(r#"{"path": "/run/osbuild/inputs/tree", "data": {"x": 1}}"#.to_owned())
        );
        for path in [
            "/etc",
            "/tmp/inputs/../x",
            "/tmp/inputs-other/x",
            "tree",
            "",
        ] {
            assert_eq!(
                told(&format!(r#"{{"path": "{path}"}}"#)),
                Err(format!(
                    "it returned {path}, which has the wrong prefix: it is not below /tmp/inputs"
                ))
            );
        }
        assert_eq!(told("null"), Err("its answer is None, no map".to_owned()));
        assert_eq!(told("{}"), Err("its answer has no `path`".to_owned()));
    }

    #[test]
    fn a_device_is_below_the_stages_own_dev() {
        let (path, reply) =
            open_reply(value(r#"{"path": "mapper/x", "node": {"major": 7}}"#)).unwrap();
        assert_eq!(path, "mapper/x");
        assert_eq!(
            Value::Object(reply).to_python_json(),
            r#"{"path": "/dev/mapper/x", "node": {"major": 7}}"#
        );
        for path in ["/dev/sda", "../sda", "a/../../b", ""] {
            let error = open_reply(value(&format!(r#"{{"path": "{path}"}}"#))).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("it returned {path}, which is not a path below /dev")
            );
        }
    }

    #[test]
    fn a_mount_is_below_all_mounts_or_nowhere() {
        let root = Path::new("/m");
        let told = |reply: &str| {
            mount_reply(&value(reply), root).map(|reply| Value::Object(reply).to_python_json())
        };
        assert_eq!(told("null").unwrap(), "{}");
        assert_eq!(told(r#""""#).unwrap(), "{}");
        assert_eq!(
            told(r#""/m/""#).unwrap(),
            r#"{"path": "/run/osbuild/mounts/."}"#
        );
        assert_eq!(
            told(r#""/m/boot/efi""#).unwrap(),
            r#"{"path": "/run/osbuild/mounts/boot/efi"}"#
        );
        assert!(told(r#""/m/../etc""#).is_err() && told("7").is_err());
    }

    #[test]
    fn the_results_of_a_source_are_read() {
        let reply = r#"{"name": "source x", "source_type": "org.osbuild.files", "success": false, "results": [
            {"success": true, "metadata": {"checksum": "sha256:1", "cached": true}, "error": ""},
            {"success": false, "metadata": {}, "error": "no"}, {"success": false, "error": ""}]}"#;
        let result = |checksum: Option<&str>, cached, error: Option<&str>| SourceResult {
            checksum: checksum.map(str::to_owned),
            cached,
            error: error.map(str::to_owned),
        };
        assert_eq!(
            download_reply(&value(reply)).unwrap(),
            Download {
                source_type: "org.osbuild.files".to_owned(),
                success: false,
                results: vec![
                    result(Some("sha256:1"), Some(true), None),
                    result(None, None, Some("no")),
                    result(None, None, Some("")),
                ],
            }
        );
        assert_eq!(
            download_reply(&value("[]")).unwrap_err().to_string(),
            "its answer has no `source_type`"
        );
    }
}
