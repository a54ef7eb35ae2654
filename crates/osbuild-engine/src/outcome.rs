//! What came of a build.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use osbuild_manifest::manifest::StageId;

/// What came of one build.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Per source of the manifest, in its order, those that were asked.
    pub sources: Vec<SourceOutcome>,
    /// Per pipeline that was built now, by index in the manifest.
    pub pipelines: IndexMap<usize, PipelineOutcome>,
    /// Why the build did not succeed.
    pub failure: Option<FailedAt>,
    /// Metadata that stages left, of every pipeline whose tree is at hand: pipeline index, stage id, metadata.
    pub metadata: IndexMap<usize, IndexMap<StageId, serde_json::Value>>,
}

impl Outcome {
    /// Tells whether all that was asked for was made.
    pub fn success(&self) -> bool {
        self.failure.is_none()
    }

    /// Gives the stage that failed, if that is what ended the build.
    pub fn failed_stage(&self) -> Option<(&PipelineOutcome, &StageOutcome)> {
        match self.failure {
            Some(FailedAt::Stage { pipeline, .. }) => {
                let pipeline = self.pipelines.get(&pipeline)?;
                let stage = pipeline.stages.iter().find(|stage| !stage.success)?;
                Some((pipeline, stage))
            }
            _ => None,
        }
    }

    /// Gives the source that failed, if that is what ended the build.
    pub fn failed_source(&self) -> Option<&SourceOutcome> {
        match self.failure {
            Some(FailedAt::Source { source }) => {
                self.sources.iter().find(|outcome| outcome.source == source)
            }
            _ => None,
        }
    }
}

/// Where a build ended.
#[derive(Debug)]
pub enum FailedAt {
    /// A source could not fetch something.
    Source {
        /// Index in the manifest.
        source: usize,
    },
    /// A stage failed.
    Stage {
        /// Index in the manifest.
        pipeline: usize,
        /// Index in the pipeline.
        stage: usize,
    },
    /// The user interrupted the build.
    Interrupted,
    /// The engine itself could not go on.
    Engine {
        /// The pipeline it was at, by index.
        pipeline: Option<usize>,
        /// Why.
        error: anyhow::Error,
    },
}

/// What came of a source.
#[derive(Clone, Debug)]
pub struct SourceOutcome {
    /// Index in the manifest.
    pub source: usize,
    /// The kind of content, the folder below `sources/`.
    pub source_type: String,
    /// Whether every item is there.
    pub success: bool,
    /// One for each item, in no promised order.
    pub results: Vec<SourceResult>,
}

/// What came of one item of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceResult {
    /// The item's name, usually `sha256:…`.
    pub checksum: Option<String>,
    /// Whether it was there before; unknown for some failures.
    pub cached: Option<bool>,
    /// Why it is not there.
    pub error: Option<String>,
}

/// What came of a pipeline.
#[derive(Clone, Debug)]
pub struct PipelineOutcome {
    /// Index in the manifest.
    pub pipeline: usize,
    /// The stages that were run now, in order.
    pub stages: Vec<std::sync::Arc<StageOutcome>>,
    /// Whether the tree is complete.
    pub success: bool,
    /// What the failed stage left, if it was to be kept.
    pub failed_tree: Option<FailedTree>,
}

/// What came of keeping the tree that a failed stage left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailedTree {
    /// It is in this directory.
    Kept(PathBuf),
    /// It is not there, for this reason.
    Lost(String),
}

/// What came of a stage.
#[derive(Clone, Debug)]
pub struct StageOutcome {
    /// Index in the pipeline.
    pub stage: usize,
    /// Its id.
    pub id: StageId,
    /// Its module.
    pub name: String,
    /// Whether the module exited with status 0.
    pub success: bool,
    /// How it ended.
    pub ending: Ending,
    /// What it wrote, both streams; of more than [`MAXIMUM_OUTPUT`] bytes the end.
    pub output: String,
    /// Bytes that it wrote before that.
    pub earlier_output: u64,
    /// What it reported on the socket of a foreign module: `{"type": "exception", "data": {"type", "value",
    /// "traceback"}}`; upstream passes it on as it came.
    pub error: Option<serde_json::Value>,
    /// What it left in its metadata file.
    pub metadata: Option<serde_json::Value>,
    /// From the first preparation to the recorded result.
    pub duration: Duration,
    /// The whole output on disk.
    pub log: PathBuf,
    /// Bytes free on the store's disk when the stage had failed; programs do not all say that it is full.
    pub free_bytes: Option<u64>,
}

/// Bytes of a stage's output that are kept in memory; the log on disk has all of it.
pub const MAXIMUM_OUTPUT: usize = 1024 * 1024;

/// Bytes of a log that are read again, for documents that have a stage's whole output.
const MAXIMUM_WHOLE_OUTPUT: u64 = 16 * 1024 * 1024;

impl StageOutcome {
    /// Gives all that the stage wrote, from its log if need be. Of more than 16 MiB it is the end, after a line that says
    /// how much is missing: whoever reads it has it in memory several times.
    pub fn whole_output(&self) -> Cow<'_, str> {
        if self.earlier_output == 0 {
            return Cow::Borrowed(&self.output);
        }
        let written = self.earlier_output + self.output.len() as u64;
        if written <= MAXIMUM_WHOLE_OUTPUT {
            match fs_err::read(&self.log) {
                // On a full disk a log has less.
                Ok(bytes) if bytes.len() as u64 > self.earlier_output => {
                    return Cow::Owned(String::from_utf8_lossy(&bytes).into_owned());
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "reading a stage's log"),
            }
        }
        Cow::Owned(format!(
            "[...{} bytes hidden...]\n{}",
            self.earlier_output, self.output
        ))
    }
}

/// How a stage ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself.
    Exited {
        /// The exit status.
        status: i32,
    },
    /// Killed by a signal.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// It ran longer than `--stage-timeout` allows.
    TimedOut,
    /// The user, or the failure of another pipeline, ended it.
    Cancelled,
    /// An input, device or mount that it needs could not be had, so it was not started; or could not be undone, so
    /// what it did is not all there.
    NotStarted {
        /// The module that failed, `devices/org.osbuild.loopback`.
        module: String,
        /// Why.
        reason: String,
    },
}
