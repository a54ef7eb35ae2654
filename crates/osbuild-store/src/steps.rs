//! Results of stages that are kept unasked, each with the key of all that went into it.
//!
//! ```text
//! steps/KEY/
//!   object.info    as in objects
//!   object.lock    as in objects
//!   step.info      what the step is, and the step it stands on
//!   key.json       the parts of the key, for people
//!   data/meta/     as in objects
//!   data/tree/     a whole tree
//!   layers/1, …    what is different from the tree below, the oldest first
//! ```
//!
//! A step has a whole tree, or stands on another step; either way with any number of layers on top.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use fs_err::{self as fs, File};
use serde::{Deserialize, Serialize};

use crate::accounting::STEPS;
use crate::entry_lock::{self, Lock};
use crate::object::{is_trusted, mark_used};

/// The file of [`StepInfo`].
pub(crate) const STEP_INFO: &str = "step.info";
/// The file with the parts of the key.
pub(crate) const KEY_PARTS: &str = "key.json";

/// What is known about a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The id of the stage that it is the result of.
    pub stage_id: String,
    /// The name of that stage's module.
    pub stage_type: String,
    /// The name that its pipeline had.
    pub pipeline: String,
    /// How long the stages took whose result it is, since the step that it stands on, in seconds.
    pub seconds: f64,
}

/// What `step.info` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StepInfo {
    /// Tells it from another tree that was kept under the same key before or after.
    pub(crate) instance: String,
    /// The step that it stands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<BaseStep>,
    /// Layers of its own.
    pub(crate) layers: usize,
    /// Whether its tree can not be a layer ([`crate::survey::Survey::is_special`]).
    pub(crate) is_special: bool,
    /// What it is.
    pub(crate) record: StepRecord,
}

/// Names the step below another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BaseStep {
    pub(crate) key: String,
    pub(crate) instance: String,
}

impl StepInfo {
    /// Reads that of a step; none if it has none, a power cut left rubbish, or it can not be read: such a step is not
    /// used, and made anew.
    pub(crate) fn read(step: &Path) -> Option<Self> {
        match fs::read(step.join(STEP_INFO)) {
            Ok(text) => serde_json::from_slice(&text).ok(),
            Err(error) if entry_lock::is_gone(&error) => None,
            Err(error) => {
                tracing::debug!("a step that is kept is not used: {error}");
                None
            }
        }
    }

    /// Gives the directories of its own, the topmost first.
    pub(crate) fn own_layers(&self, step: &Path) -> Vec<PathBuf> {
        let layers = (1..=self.layers).rev();
        let layers = layers.map(|number| step.join(format!("layers/{number}")));
        let tree = self.base.is_none().then(|| step.join("data/tree"));
        layers.chain(tree).collect()
    }
}

/// A step and all that it stands on, held in the store.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) info: StepInfo,
    /// The directories of the tree, the topmost first.
    pub(crate) stack: Vec<PathBuf>,
    /// Shared locks of the step and those it stands on.
    pub(crate) locks: Vec<File>,
}

impl Chain {
    /// Opens a step; none if it, or one below it, is missing, incomplete, not to be trusted or being removed.
    pub(crate) fn open(store: &Path, key: &str, boot_id: &str) -> Result<Option<Self>> {
        let (mut top, mut stack, mut locks) = (None, Vec::new(), Vec::new());
        let mut next = Some((key.to_owned(), None));
        while let Some((key, instance)) = next {
            let path = store.join(STEPS).join(&key);
            let Some(lock) = entry_lock::try_lock(&path.join("object.lock"), Lock::Shared)? else {
                return Ok(None);
            };
            let (true, Some(info)) = (is_trusted(&path, boot_id)?, StepInfo::read(&path)) else {
                return Ok(None);
            };
            if instance.is_some_and(|instance| instance != info.instance) {
                return Ok(None);
            }
            stack.extend(info.own_layers(&path));
            locks.push(lock);
            next = info
                .base
                .clone()
                .map(|base| (base.key, Some(base.instance)));
            top.get_or_insert(info);
        }
        Ok(top.map(|info| Self { info, stack, locks }))
    }

    /// Notes that the step, and so all that it stands on, is used now.
    pub(crate) fn mark_used(&self) {
        for lock in &self.locks {
            mark_used(lock);
        }
    }
}

/// Lists what is known of each step, with its key.
pub(crate) fn all(store: &Path) -> Result<Vec<(String, StepInfo)>> {
    let mut steps = Vec::new();
    let entries = match fs::read_dir(store.join(STEPS)) {
        Ok(entries) => entries,
        // A store of upstream has none.
        Err(error) if entry_lock::is_gone(&error) => return Ok(steps),
        Err(error) => return Err(error.into()),
    };
    for entry in entries {
        let entry = entry?;
        if let (Ok(key), Some(info)) = (
            entry.file_name().into_string(),
            StepInfo::read(&entry.path()),
        ) {
            steps.push((key, info));
        }
    }
    Ok(steps)
}

/// Counts, for each step, those that stand on it.
pub(crate) fn dependents(store: &Path) -> Result<HashMap<String, usize>> {
    let mut counts = HashMap::new();
    for (_, info) in all(store)? {
        if let Some(base) = info.base {
            *counts.entry(base.key).or_default() += 1;
        }
    }
    Ok(counts)
}

/// Gives the keys of the steps that stand on one.
pub(crate) fn standing_on(store: &Path, key: &str) -> Result<Vec<String>> {
    let stands = |info: &StepInfo| info.base.as_ref().is_some_and(|base| base.key == key);
    Ok(all(store)?
        .into_iter()
        .filter(|(_, info)| stands(info))
        .map(|(key, _)| key)
        .collect())
}
