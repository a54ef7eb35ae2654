//! Why a lock cannot be used.

use std::path::{Path, PathBuf};

use super::LOCK_VERSION;
use crate::problem::Place;

/// Why a lock cannot be used for a recipe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StaleLock {
    /// The recipe asks for something else than the lock was made for.
    #[error("the lock was made for {locked}, the recipe asks for {wanted}")]
    OtherSystem {
        /// Distribution, release and architecture in the lock.
        locked: String,
        /// Those in the recipe.
        wanted: String,
    },
    /// Packages, repositories or what implies packages changed in the recipe.
    #[error("the packages or repositories of the recipe have changed since the lock was made")]
    OtherPackages,
}

/// Why a text is no lock, or no lock any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Its format is of a later version.
    #[error(
        "the lock was made by a newer osbuild: it has version {version}, this osbuild reads version {LOCK_VERSION}"
    )]
    Newer {
        /// The lock's version.
        version: u64,
    },
    /// Its format is of an earlier version.
    #[error(
        "the lock was made by an older osbuild: it has version {version}, this osbuild reads version {LOCK_VERSION}"
    )]
    Older {
        /// The lock's version.
        version: u64,
    },
    /// It is no JSON, or a key or value of it is wrong.
    #[error("the lock is damaged: {reason}")]
    Garbled {
        /// What is wrong.
        reason: String,
        /// Where it was noticed.
        place: Place,
    },
    /// A package list is not the one that was written.
    #[error(
        "the packages of `{list}` in the lock are not those that were locked: the list was edited or merged by hand"
    )]
    Changed {
        /// The list.
        list: &'static str,
        /// Where the digest of the list stands.
        place: Option<Place>,
    },
    /// It does not belong to its recipe any more.
    #[error("the lock is stale: {0}")]
    Stale(#[from] StaleLock),
}

impl LockError {
    pub(super) fn of_version(version: u64) -> Self {
        if version > u64::from(LOCK_VERSION) {
            Self::Newer { version }
        } else {
            Self::Older { version }
        }
    }

    pub(super) fn garbled(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let reason = text
            .rsplit_once(" at line ")
            .map_or(text.as_str(), |(reason, _)| reason);
        Self::Garbled {
            reason: reason.to_owned(),
            // The end of an empty file is in line 1, column 0.
            place: Place {
                line: error.line().max(1),
                column: error.column().max(1),
            },
        }
    }

    /// The list's packages do not have the digest that the text records.
    pub(super) fn changed(list: &'static str, text: &str, recorded: &str) -> Self {
        let place = text.lines().zip(1..).find_map(|(line, number)| {
            let start = line.find(recorded)?;
            Some(Place {
                line: number,
                column: line[..start].chars().count() + 1,
            })
        });
        Self::Changed { list, place }
    }

    /// Where in the lock it was noticed.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Garbled { place, .. } => Some(*place),
            Self::Changed { place, .. } => *place,
            Self::Newer { .. } | Self::Older { .. } | Self::Stale(_) => None,
        }
    }
}

/// A lock file that cannot be used for a recipe.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct UnusableLock {
    /// The lock's file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: LockError,
}

impl UnusableLock {
    /// What to do about it.
    pub fn hint(&self, recipe: &Path) -> String {
        let anew = format!(
            "run `osbuild lock {}` to choose the packages anew",
            recipe.display()
        );
        match self.reason {
            LockError::Newer { .. } => format!("update osbuild, or {anew}"),
            LockError::Changed { .. } => format!("restore the lock, or {anew}"),
            LockError::Older { .. } | LockError::Garbled { .. } | LockError::Stale(_) => anew,
        }
    }
}
