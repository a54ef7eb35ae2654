//! The lock: every package of a recipe pinned, so that a build needs no solving.
//!
//! A lock is a JSON file beside the recipe, `debian.lock` for `debian.yaml`:
//!
//! ```text
//! {
//!   "lock-version": 1,
//!   "recipe-digest": "sha256:…",      what the packages were chosen for
//!   "distribution": "debian", "release": "bookworm", "architecture": "amd64",
//!   "source-epoch": 1763805600,       date of the newest suite; the time stamp of the image
//!   "repositories": [ {address, suite, date, in-release-sha256} … ],
//!   "packages": { "system": [ {name, version, architecture, urls, sha256, size} … ], "build": [ … ] }
//! }
//! ```

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::recipe::Recipe;
use crate::solve::solving_digest;

/// Version of the lock format that this program reads and writes.
pub const LOCK_VERSION: u32 = 1;

/// Every package of a recipe, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lock {
    /// Version of this format.
    pub lock_version: u32,
    /// Digest of the part of the recipe that the packages were chosen for.
    pub recipe_digest: String,
    /// Distribution of the packages.
    pub distribution: String,
    /// Code name of its release.
    pub release: String,
    /// Architecture of the packages.
    pub architecture: String,
    /// Time stamp of what is built from this lock, in seconds since 1970.
    pub source_epoch: i64,
    /// The state of each suite that was read.
    pub repositories: Vec<LockedRepository>,
    /// The packages.
    pub packages: LockedPackages,
}

/// The packages of each root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedPackages {
    /// Those of the system itself.
    pub system: Vec<LockedPackage>,
    /// Those of the build root; empty when the host's is used.
    pub build: Vec<LockedPackage>,
}

/// One pinned package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its exact version.
    pub version: String,
    /// Its architecture, or `all`.
    pub architecture: String,
    /// Where it can be fetched, the preferred address first.
    pub urls: Vec<String>,
    /// SHA-256 of the archive, in hexadecimal.
    pub sha256: String,
    /// Size of the archive in bytes.
    pub size: u64,
}

/// The state of one suite when packages were chosen from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedRepository {
    /// Base address it was read from.
    pub address: String,
    /// Its suite.
    pub suite: String,
    /// The `Date` of its release file, as written there.
    pub date: String,
    /// SHA-256 of its `InRelease` file, in hexadecimal.
    pub in_release_sha256: String,
}

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

impl Lock {
    /// The lock's usual place: beside the recipe, with the ending `.lock`.
    pub fn path_for(recipe: &Path) -> PathBuf {
        recipe.with_extension("lock")
    }

    /// Reads a lock from its text.
    pub fn from_json(text: &str) -> Result<Self> {
        let lock: Self = serde_json::from_str(text).context("the lock is not readable")?;
        ensure!(
            lock.lock_version == LOCK_VERSION,
            "the lock has version {}, this program reads version {LOCK_VERSION}; make it anew with `osbuild lock`",
            lock.lock_version
        );
        Ok(lock)
    }

    /// The lock's text: the same for the same lock.
    pub fn to_json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("text, lists and numbers are always JSON");
        text.push('\n');
        text
    }

    /// Checks that the lock was made for what a recipe asks for now.
    pub fn check(&self, recipe: &Recipe) -> Result<(), StaleLock> {
        let wanted = format!("{} {}", recipe.release, recipe.architecture.word());
        let locked = format!(
            "{} {} {}",
            self.distribution, self.release, self.architecture
        );
        if locked != wanted {
            return Err(StaleLock::OtherSystem { locked, wanted });
        }
        if self.recipe_digest != solving_digest(recipe) {
            return Err(StaleLock::OtherPackages);
        }
        Ok(())
    }
}

/// `sha256:` and the digest of some bytes in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    text
}
