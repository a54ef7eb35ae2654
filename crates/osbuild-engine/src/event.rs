//! What happens during a build, told as it happens.

use std::sync::Arc;

use osbuild_manifest::manifest::Manifest;

use crate::outcome::{SourceOutcome, StageOutcome};

/// One thing that happened. Pipelines, stages and sources are named by their index in the manifest.
#[derive(Clone, Debug)]
pub enum Event {
    /// The build begins: it is known what has to be done.
    BuildStarted {
        /// Pipelines whose trees will be made; the others are in the store, or nobody wants them.
        pipelines: usize,
    },
    /// The build will probably not fit on the store's disk.
    SpaceIsShort {
        /// What earlier builds of the same stages took there, in bytes.
        needed: u64,
        /// What is free there, in bytes.
        free: u64,
    },
    /// A source starts to fetch its items.
    SourceStarted {
        /// Index in [`Manifest::sources`].
        source: usize,
    },
    /// A source says something, a line without its newline.
    SourceLog {
        /// Index in [`Manifest::sources`].
        source: usize,
        /// The text.
        line: String,
        /// Whether it tells of something that goes on but is not as it should be, and that a person wants to know of.
        is_warning: bool,
    },
    /// A source got further.
    SourceProgress {
        /// Index in [`Manifest::sources`].
        source: usize,
        /// How far it is now.
        progress: FetchProgress,
    },
    /// A source has fetched all, or failed.
    SourceFinished {
        /// Index in [`Manifest::sources`].
        source: usize,
        /// What came of it.
        outcome: Arc<SourceOutcome>,
    },
    /// The tree of a pipeline is begun.
    PipelineStarted {
        /// Index in [`Manifest::pipelines`].
        pipeline: usize,
        /// Stages whose result was found in the store, counted from the first.
        reused_stages: usize,
    },
    /// A stage is about to run.
    StageStarted {
        /// Index in [`Manifest::pipelines`].
        pipeline: usize,
        /// Index in the pipeline.
        stage: usize,
    },
    /// A stage wrote something.
    StageOutput {
        /// Index in [`Manifest::pipelines`].
        pipeline: usize,
        /// Index in the pipeline.
        stage: usize,
        /// The bytes as they came, at most one pipe buffer.
        bytes: Vec<u8>,
    },
    /// A foreign input, device or mount of a stage says something on the host. This is not part of the stage's output.
    ServiceLog {
        /// Index in [`Manifest::pipelines`].
        pipeline: usize,
        /// Index in the pipeline.
        stage: usize,
        /// `UID (MODULE): TEXT`, without a newline.
        line: String,
    },
    /// A stage ended.
    StageFinished {
        /// Index in [`Manifest::pipelines`].
        pipeline: usize,
        /// Index in the pipeline.
        stage: usize,
        /// What came of it.
        outcome: Arc<StageOutcome>,
    },
    /// A pipeline ended, all of its stages done or one of them failed.
    PipelineFinished {
        /// Index in [`Manifest::pipelines`].
        pipeline: usize,
        /// Whether its tree is complete.
        success: bool,
    },
    /// Nothing more will be made; what was asked for is handed out after this. Not told of a build that was interrupted.
    BuildFinished {
        /// Whether all was made.
        success: bool,
    },
}

/// How far a source is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchProgress {
    /// Bytes fetched.
    pub bytes_done: u64,
    /// Bytes to fetch, as far as servers have told.
    pub bytes_total: u64,
    /// Files present.
    pub files_done: u64,
    /// Files wanted.
    pub files_total: u64,
}

/// Someone who is told what happens. Called from one thread only, in order.
pub trait Observer {
    /// Takes one event of a build of `manifest`.
    fn event(&mut self, manifest: &Manifest, event: &Event);
}
