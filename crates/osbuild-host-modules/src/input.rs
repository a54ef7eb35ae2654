//! What an input is: it lays out files or trees for a stage to read.

use std::fmt;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::Value;

/// Lays out what a stage reads.
pub trait InputModule: Sync {
    /// Fills the target directory.
    fn map(&self, request: &InputRequest<'_>) -> anyhow::Result<MappedInput>;
}

/// Where inputs find what was downloaded and built.
pub trait ObjectSource: Sync {
    /// The tree of a pipeline's or stage's result.
    fn tree(&self, object_id: &str) -> Option<PathBuf>;
    /// The store's directory of downloads; each kind of content has a folder in it.
    fn downloads(&self) -> PathBuf;
}

/// What an input is asked for.
#[derive(Clone, Copy)]
pub struct InputRequest<'a> {
    /// `org.osbuild.source` or `org.osbuild.pipeline`.
    pub origin: &'a str,
    /// What is referred to, each with its options.
    pub references: &'a IndexMap<String, Value>,
    /// An empty directory to fill; the stage sees it read-only.
    pub target: &'a Path,
    /// The options of the input.
    pub options: &'a Value,
    /// Where to find what is referred to.
    pub objects: &'a dyn ObjectSource,
}

/// What a stage learns about its input, and what keeps it in place.
pub struct MappedInput {
    /// The directory, within the target.
    pub path: PathBuf,
    /// What the stage is told besides.
    pub data: Option<Value>,
    /// What must live as long as the stage runs; dropping it undoes it.
    pub guards: Vec<Box<dyn Send>>,
}

impl fmt::Debug for MappedInput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MappedInput")
            .field("path", &self.path)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}
