//! A resolved manifest: what will be built, with every reference followed and every id known.

use std::fmt;

use indexmap::IndexMap;

use crate::document::PathElement;
use crate::module::ModuleKind;
use crate::runner::Runner;
use crate::value::{Object, Value};

/// A resolved manifest.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The format that it was written in.
    pub version: Version,
    /// Pipelines, in order; one only ever needs earlier ones.
    pub pipelines: Vec<Pipeline>,
    /// Sources, in order.
    pub sources: Vec<Source>,
    /// What the generator of the manifest says about it.
    pub metadata: Object,
    /// What is odd about the manifest without being wrong.
    pub warnings: Vec<Warning>,
}

impl Manifest {
    /// Gives the index of the pipeline of that name, or else the first of that id.
    pub fn find_pipeline(&self, name_or_id: &str) -> Option<usize> {
        let has_id =
            |pipeline: &Pipeline| pipeline.id().is_some_and(|id| id.as_str() == name_or_id);
        self.pipelines
            .iter()
            .position(|pipeline| pipeline.name == name_or_id)
            .or_else(|| self.pipelines.iter().position(has_id))
    }
}

/// A format of manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// One tree, its build trees nested inside, at most one assembler.
    One,
    /// A list of pipelines.
    Two,
}

impl Version {
    /// Tells the format of a manifest; `None` if there is no such format.
    pub fn detect(manifest: &Value) -> Option<Self> {
        match manifest.as_object()?.get("version") {
            None => Some(Self::One),
            Some(version) => match version.as_str()? {
                "1" => Some(Self::One),
                "2" => Some(Self::Two),
                _ => None,
            },
        }
    }
}

/// The id of a stage: the digest of all that upstream counts as making a difference to its result.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StageId(String);

/// The id of a pipeline is that of its last stage.
pub type PipelineId = StageId;

impl StageId {
    /// Takes a text for an id, without checking that it looks like one.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Gives the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for StageId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Debug for StageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StageId({})", self.0)
    }
}

/// Stages that make one tree.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// The pipeline whose tree its stages run in; without, the host.
    pub build: Option<PipelineId>,
    /// The runner that prepares that tree.
    pub runner: Runner,
    /// The time to set everything to that the stages make, in seconds.
    pub source_epoch: Option<i64>,
    /// Its stages, in order.
    pub stages: Vec<Stage>,
    /// Where it is in the manifest.
    pub path: Vec<PathElement>,
}

impl Pipeline {
    /// Gives its id; there is none without stages.
    pub fn id(&self) -> Option<&PipelineId> {
        self.stages.last().map(|stage| &stage.id)
    }
}

/// One step of making a tree.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its id.
    pub id: StageId,
    /// The name of its module.
    pub name: String,
    /// [`ModuleKind::Stage`] or [`ModuleKind::Assembler`].
    pub kind: ModuleKind,
    /// Options, exactly as the manifest has them.
    pub options: Value,
    /// The stage before it.
    pub base: Option<StageId>,
    /// The pipeline whose tree it runs in.
    pub build: Option<PipelineId>,
    /// The epoch of its pipeline.
    pub source_epoch: Option<i64>,
    /// Inputs by name, in order.
    pub inputs: IndexMap<String, Input>,
    /// Devices by name, parents before children.
    pub devices: IndexMap<String, Device>,
    /// Mounts, in order.
    pub mounts: Vec<Mount>,
    /// Where it is in the manifest.
    pub path: Vec<PathElement>,
}

impl Stage {
    /// Gives the ids of the pipelines whose trees its inputs bring, in order.
    pub fn pipeline_references(&self) -> impl Iterator<Item = &str> {
        self.inputs
            .values()
            .filter(|input| input.origin == Origin::Pipeline)
            .flat_map(|input| input.references.keys())
            .map(String::as_str)
    }
}

/// Something that a stage reads.
#[derive(Clone, Debug)]
pub struct Input {
    /// The name that the stage knows it by.
    pub name: String,
    /// The name of its module.
    pub kind: String,
    /// Where it comes from.
    pub origin: Origin,
    /// What to bring: items of sources, or ids of pipelines (`null` for one without stages); each with its options.
    pub references: IndexMap<String, Value>,
    /// Options.
    pub options: Value,
    /// Its id.
    pub id: String,
}

/// Where an input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Items of the manifest's sources.
    Source,
    /// Trees of other pipelines.
    Pipeline,
}

impl Origin {
    /// Gives the name that manifests use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "org.osbuild.source",
            Self::Pipeline => "org.osbuild.pipeline",
        }
    }

    /// Finds the origin of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Source, Self::Pipeline]
            .into_iter()
            .find(|origin| origin.as_str() == name)
    }
}

/// A device that a stage works on.
#[derive(Clone, Debug)]
pub struct Device {
    /// The name that the stage knows it by.
    pub name: String,
    /// The name of its module.
    pub kind: String,
    /// The name of the device that it is on.
    pub parent: Option<String>,
    /// Options.
    pub options: Value,
    /// Its id.
    pub id: String,
}

/// A file system that is mounted for a stage.
#[derive(Clone, Debug)]
pub struct Mount {
    /// The name that the stage knows it by.
    pub name: String,
    /// The name of its module.
    pub kind: String,
    /// The name of the device that it is on.
    pub device: Option<String>,
    /// The partition of that device, as written.
    pub partition: Option<Value>,
    /// Where to mount it.
    pub target: Option<String>,
    /// Options.
    pub options: Value,
    /// Its id.
    pub id: String,
}

impl Mount {
    /// Gives the number of the partition; none if there is none, or it is 0.
    pub fn partition_number(&self) -> Option<u32> {
        let number = self.partition.as_ref().and_then(Value::as_i64)?;
        u32::try_from(number).ok().filter(|&number| number != 0)
    }
}

/// Files to fetch.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name of its module.
    pub name: String,
    /// What to fetch: name, usually a checksum, to description.
    pub items: Object,
    /// Options; in format 1 the whole description.
    pub options: Value,
    /// Its id.
    pub id: String,
    /// Where it is in the manifest.
    pub path: Vec<PathElement>,
}

/// Something odd in a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What is odd.
    pub message: String,
    /// Where.
    pub path: Vec<PathElement>,
}
