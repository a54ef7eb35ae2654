//! What the engine gives a stage: its tree, options, inputs, devices and mounts.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::arguments_document;
use crate::chroot::Chroot;
use crate::command::Command;
use crate::error::StageError;
use crate::location::Location;
use crate::output::Output;
use crate::tree_root::TreeRoot;

/// Where the engine takes a stage's metadata from.
const META_PATH: &str = "/run/osbuild/meta";

/// The arguments document, as the engine writes it; services may add keys of their own to their replies.
#[derive(Clone, Debug, Deserialize)]
struct Arguments {
    /// Absent for a stage that works on devices alone.
    tree: Option<PathBuf>,
    #[serde(default)]
    paths: Paths,
    #[serde(default)]
    devices: Map<String, Value>,
    #[serde(default)]
    inputs: Map<String, Value>,
    #[serde(default)]
    mounts: Map<String, Value>,
    #[serde(default)]
    options: Value,
    #[serde(default)]
    meta: Map<String, Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Paths {
    devices: PathBuf,
    inputs: PathBuf,
    mounts: PathBuf,
}

/// Everything a stage was given, and the ways to act on it.
#[derive(Clone, Debug)]
pub struct StageContext {
    arguments: Arguments,
    metadata_path: PathBuf,
    output: Output,
    /// Under test: a directory of programs that stand in for those of the build root.
    stand_ins: Option<PathBuf>,
    /// Under test: programs that the build root is to lack.
    missing_programs: Vec<String>,
}

/// What an input service answered.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    reply: &'a Map<String, Value>,
    path: &'a Path,
}

/// What a device or mount service answered.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    reply: &'a Map<String, Value>,
    path: &'a Path,
}

impl StageContext {
    /// Reads the arguments document from a file.
    pub fn from_file(path: &Path, output: Output) -> Result<Self> {
        let text = fs_err::read_to_string(path)?;
        let value = arguments_document::parse(&text)
            .with_context(|| format!("parsing {}", path.display()))?;
        Self::new(value, PathBuf::from(META_PATH), output)
    }

    /// Takes the arguments document as a value; metadata goes to `metadata_path`.
    pub fn new(arguments: Value, metadata_path: PathBuf, output: Output) -> Result<Self> {
        let arguments =
            serde_json::from_value(arguments).context("reading the stage's arguments")?;
        Ok(Self {
            arguments,
            metadata_path,
            output,
            stand_ins: None,
            missing_programs: Vec::new(),
        })
    }

    /// Takes programs from this directory, if it has them, before those of the build root.
    #[must_use]
    pub fn with_stand_ins(mut self, directory: &Path) -> Self {
        self.stand_ins = Some(directory.to_owned());
        self
    }

    /// Acts as if the build root lacked a program.
    #[must_use]
    pub fn without_program(mut self, name: &str) -> Self {
        self.missing_programs.push(name.to_owned());
        self
    }

    /// Tells whether the build root has a program, for stages that can do without it.
    pub fn has_program(&self, name: &str) -> bool {
        if self.missing_programs.iter().any(|missing| missing == name) {
            return false;
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        self.stand_ins
            .iter()
            .cloned()
            .chain(std::env::split_paths(&path))
            .any(|directory| is_executable(&directory.join(name)))
    }

    /// Decodes the options.
    pub fn options<Options: DeserializeOwned>(&self) -> Result<Options> {
        let options = match &self.arguments.options {
            Value::Null => Value::Object(Map::new()),
            options => options.clone(),
        };
        serde_json::from_value(options).context("reading the stage's options")
    }

    /// Returns where the tree is; to act on files in it use [`Self::tree_path`].
    pub fn tree(&self) -> &Path {
        self.arguments.tree.as_deref().unwrap_or(Path::new(""))
    }

    /// Opens the tree for file work that links inside it can not lead astray; one that is not there yet is made.
    pub fn tree_path(&self) -> Result<TreeRoot> {
        if !self.tree().exists() {
            fs_err::create_dir_all(self.tree())?;
        }
        TreeRoot::open(self.tree())
    }

    /// Returns the inputs in the order of the manifest.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.arguments
            .inputs
            .iter()
            .map(|(name, reply)| (name.as_str(), reply))
    }

    /// Returns an input.
    pub fn input(&self, name: &str) -> Result<Input<'_>> {
        let (reply, path) = reply(&self.arguments.inputs, "input", name)?;
        Ok(Input { reply, path })
    }

    /// Returns the directory that holds the inputs.
    pub fn inputs_root(&self) -> &Path {
        &self.arguments.paths.inputs
    }

    /// Returns the names of the devices in the order of the manifest.
    pub fn device_names(&self) -> impl Iterator<Item = &str> {
        self.arguments.devices.keys().map(String::as_str)
    }

    /// Returns a device.
    pub fn device(&self, name: &str) -> Result<Resource<'_>> {
        let (reply, path) = reply(&self.arguments.devices, "device", name)?;
        Ok(Resource { reply, path })
    }

    /// Returns the directory that holds the device nodes, `/dev`.
    pub fn devices_root(&self) -> &Path {
        &self.arguments.paths.devices
    }

    /// Returns the names of the mounts in the order of the manifest.
    pub fn mount_names(&self) -> impl Iterator<Item = &str> {
        self.arguments.mounts.keys().map(String::as_str)
    }

    /// Returns a mount.
    pub fn mount(&self, name: &str) -> Result<Resource<'_>> {
        let (reply, path) = reply(&self.arguments.mounts, "mount", name)?;
        Ok(Resource { reply, path })
    }

    /// Returns the directory below which everything is mounted.
    pub fn mounts_root(&self) -> &Path {
        &self.arguments.paths.mounts
    }

    /// Returns the id of the stage, if the engine told it.
    pub fn id(&self) -> Option<&str> {
        self.arguments.meta.get("id").and_then(Value::as_str)
    }

    /// Returns the moment, in seconds since 1970, that the pipeline wants as its time, if it names one.
    pub fn source_epoch(&self) -> Option<i64> {
        self.arguments
            .meta
            .get("source-epoch")
            .and_then(Value::as_i64)
    }

    /// Leaves metadata for the result; the last call wins.
    pub fn write_metadata(&self, value: &Value) -> Result<()> {
        let text = serde_json::to_string_pretty(value).context("writing metadata")?;
        fs_err::write(&self.metadata_path, text)?;
        Ok(())
    }

    /// Finds what `tree:///x`, `mount://name/x` or `input://name/x` means; without a scheme, the tree.
    pub fn resolve_location(&self, location: &str) -> Result<Location> {
        Location::parse(location, self)
    }

    /// Prepares to run a program of the build root.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let Some(directory) = &self.stand_ins else {
            return Command::new(program, self.output.clone());
        };
        let path = std::env::var("PATH").unwrap_or_default();
        // Some programs are called by their whole path, where upstream does.
        let name = Path::new(&program).file_name().unwrap_or_default();
        let stand_in = directory.join(name);
        let program = if stand_in.exists() {
            stand_in.as_os_str()
        } else {
            program.as_ref()
        };
        Command::new(program, self.output.clone())
            .env("PATH", format!("{}:{path}", directory.display()))
    }

    /// Mounts `/proc`, `/dev` and `/sys` in the tree, to run its programs.
    pub fn chroot(&self) -> Result<Chroot<'_>> {
        Chroot::enter(self, self.tree())
    }

    /// Mounts them where packages are to be installed, which may have `/sys` itself.
    pub fn chroot_to_install(&self) -> Result<Chroot<'_>> {
        Chroot::enter_to_install(self, self.tree())
    }

    /// Writes a line to the stage's log.
    pub fn log(&self, text: impl std::fmt::Display) {
        self.output.line(text);
    }

    /// Returns the stage's log.
    pub fn output(&self) -> &Output {
        &self.output
    }
}

impl<'a> Input<'a> {
    /// Returns where the input's files are.
    pub fn path(&self) -> &'a Path {
        self.path
    }

    /// Returns what the service says about its files; null if nothing.
    pub fn data(&self) -> &'a Value {
        self.reply.get("data").unwrap_or(&Value::Null)
    }

    /// Returns the files the input offers: names below [`Self::path`], and what is said about each.
    pub fn files(&self) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        let files = self.data().get("files").and_then(Value::as_object);
        files
            .into_iter()
            .flatten()
            .map(|(name, about)| (name.as_str(), about))
    }
}

impl<'a> Resource<'a> {
    /// Returns its path in the sandbox.
    pub fn path(&self) -> &'a Path {
        self.path
    }

    /// Returns something else the service answered, such as `node` or `lvm`.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.reply.get(key)
    }
}

fn is_executable(file: &Path) -> bool {
    fs_err::metadata(file).is_ok_and(|found| {
        found.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
    })
}

/// Looks a name up as Python's `args["inputs"][name]["path"]` would.
fn reply<'a>(
    replies: &'a Map<String, Value>,
    kind: &str,
    name: &str,
) -> Result<(&'a Map<String, Value>, &'a Path)> {
    let missing = || {
        StageError::new(
            "KeyError",
            format!("the stage was given no {kind} `{name}`"),
        )
    };
    let reply = replies
        .get(name)
        .and_then(Value::as_object)
        .ok_or_else(missing)?;
    let no_path = || StageError::new("KeyError", format!("the {kind} `{name}` has no path"));
    let path = reply
        .get("path")
        .and_then(Value::as_str)
        .ok_or_else(no_path)?;
    Ok((reply, Path::new(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn context() -> StageContext {
        let arguments = json!({
            "tree": "/run/osbuild/tree",
            "paths": {"devices": "/dev", "inputs": "/run/osbuild/inputs", "mounts": "/run/osbuild/mounts"},
            "devices": {"device": {"path": "/dev/loop0", "node": {"major": 7, "minor": 0}}},
            "inputs": {"packages": {"path": "/run/osbuild/inputs/packages", "data": {"files": {"sha256:00": {}}}}},
            "mounts": {"root": {"path": "/run/osbuild/mounts/."}, "none": {}},
            "options": {},
            "meta": {"id": "0123", "source-epoch": 1234}
        });
        StageContext::new(arguments, PathBuf::from("/nonexistent"), Output::buffered()).unwrap()
    }

    #[test]
    fn everything_the_engine_sends_can_be_asked_for() {
        let context = context();
        assert_eq!(context.tree(), Path::new("/run/osbuild/tree"));
        assert_eq!(
            context.device("device").unwrap().path(),
            Path::new("/dev/loop0")
        );
        assert_eq!(
            context.device("device").unwrap().get("node"),
            Some(&json!({"major": 7, "minor": 0}))
        );
        let input = context.input("packages").unwrap();
        assert_eq!(input.path(), Path::new("/run/osbuild/inputs/packages"));
        assert_eq!(
            input.files().collect::<Vec<_>>(),
            [("sha256:00", &json!({}))]
        );
        assert_eq!(
            context.mount("root").unwrap().path(),
            Path::new("/run/osbuild/mounts/.")
        );
        assert_eq!(context.mounts_root(), Path::new("/run/osbuild/mounts"));
        assert_eq!(context.id(), Some("0123"));
        assert_eq!(context.source_epoch(), Some(1234));
        context.options::<crate::stage::NoOptions>().unwrap();
    }

    #[test]
    fn a_program_is_there_if_it_can_be_run() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("no-program"), "").unwrap();
        let context = context().with_stand_ins(directory.path());
        assert!(context.has_program("sh"));
        assert!(!context.has_program("no-program"));
        assert!(!context.without_program("sh").has_program("sh"));
    }

    #[test]
    fn what_was_not_given_is_a_key_error() {
        let context = context();
        assert_eq!(
            context.input("x").unwrap_err().to_string(),
            "the stage was given no input `x`"
        );
        assert_eq!(
            context.mount("none").unwrap_err().to_string(),
            "the mount `none` has no path"
        );
    }
}
