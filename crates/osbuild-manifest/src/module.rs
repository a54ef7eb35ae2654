//! What is known of a module: a stage, assembler, source, input, device, mount or runner.

use std::sync::{Arc, OnceLock};

use crate::manifest::Version;
use crate::runner::Runner;
use crate::schema::{Schema, SchemaError};
use crate::value::Value;

/// The kinds of modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ModuleKind {
    /// A step of making a tree.
    Stage,
    /// The last step of format 1.
    Assembler,
    /// Fetches files.
    Source,
    /// Hands files or trees to a stage.
    Input,
    /// Makes a device.
    Device,
    /// Mounts a file system.
    Mount,
    /// Prepares a build tree.
    Runner,
}

impl ModuleKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Stage,
        Self::Assembler,
        Self::Source,
        Self::Input,
        Self::Device,
        Self::Mount,
        Self::Runner,
    ];

    /// Gives the folder of such modules in a library directory.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Stage => "stages",
            Self::Assembler => "assemblers",
            Self::Source => "sources",
            Self::Input => "inputs",
            Self::Device => "devices",
            Self::Mount => "mounts",
            Self::Runner => "runners",
        }
    }

    /// Gives the word for one such module in a sentence.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Assembler => "assembler",
            Self::Source => "source",
            Self::Input => "input",
            Self::Device => "device",
            Self::Mount => "mount",
            Self::Runner => "runner",
        }
    }

    /// Gives upstream's name of the class of such modules.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Stage => "Stage",
            Self::Assembler => "Assembler",
            Self::Source => "Source",
            Self::Input => "Input",
            Self::Device => "Device",
            Self::Mount => "Mount",
            Self::Runner => "Runner",
        }
    }
}

/// Finds modules.
pub trait ModuleIndex {
    /// Gives what is known of a module; `None` if there is no such module.
    fn module(&self, kind: ModuleKind, name: &str) -> Option<Arc<ModuleInfo>>;

    /// Finds the runner that serves a requested name, see [`crate::runner::select`].
    fn runner(&self, requested: &str) -> anyhow::Result<Runner>;

    /// Gives the names of all modules of a kind, for suggestions; may be empty.
    fn names(&self, kind: ModuleKind) -> Vec<String> {
        let _ = kind;
        Vec::new()
    }

    /// Gives the schema for manifests of a format that belongs to these modules, instead of the built-in one.
    fn manifest_schema(&self, version: Version) -> Option<Arc<Schema>> {
        let _ = version;
        None
    }
}

/// What a module's metadata says.
#[derive(Debug)]
pub struct ModuleInfo {
    /// Its name, such as `org.osbuild.rpm`.
    pub name: String,
    /// Its kind.
    pub kind: ModuleKind,
    /// What it accepts in manifests of format 1, and in those of format 2 if it says nothing else of them.
    pub schema: Option<Value>,
    /// What it accepts in manifests of format 2.
    pub schema_2: Option<Value>,
    /// Capabilities (`CAP_*`) that it needs beyond the usual ones.
    pub capabilities: Vec<String>,
    /// What it does, in one line.
    pub summary: String,
    /// What it does, at length.
    pub description: String,
    pub(crate) compiled: Compiled,
}

/// Schemas that were put together before, by format.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    version_1: OnceLock<Result<Schema, SchemaError>>,
    version_2: OnceLock<Result<Schema, SchemaError>>,
}

impl ModuleInfo {
    /// Gives the schema that validates a use of the module in a manifest; put together once.
    pub fn compiled_schema(&self, version: Version) -> Result<&Schema, SchemaError> {
        let cell = match version {
            Version::One => &self.compiled.version_1,
            Version::Two => &self.compiled.version_2,
        };
        cell.get_or_init(|| Schema::compile(&self.assembled_schema(version)?))
            .as_ref()
            .map_err(Clone::clone)
    }
}
