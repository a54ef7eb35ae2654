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
//!   "repositories": [ {address, suite, date, in-release-sha256} … ],    or {address, date, repomd-sha256}
//!   "package-digests": { "system": "sha256:…", "build": "sha256:…" },   of the lists that follow
//!   "packages": { "system": [ {name, version, architecture, urls, sha256, size} … ], "build": [ … ] }
//! }
//! ```

mod checked_value;
mod error;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::recipe::Recipe;
use crate::solve::solving_digest;
pub use error::{LockError, StaleLock, UnusableLock};

/// Version of the lock format that this program reads and writes.
pub const LOCK_VERSION: u32 = 1;

/// Every package of a recipe, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lock {
    /// Version of this format.
    pub lock_version: u32,
    /// Digest of the part of the recipe that the packages were chosen for.
    #[serde(deserialize_with = "checked_value::prefixed_sha256")]
    pub recipe_digest: String,
    /// Distribution of the packages.
    pub distribution: String,
    /// Code name of its release.
    pub release: String,
    /// Architecture of the packages.
    pub architecture: String,
    /// Time stamp of what is built from this lock, in seconds since 1970.
    #[serde(deserialize_with = "checked_value::epoch")]
    pub source_epoch: i64,
    /// The state of each suite or RPM repository that was read.
    pub repositories: Vec<LockedRepository>,
    /// Digests of the package lists, to notice a list that was edited or merged by hand.
    pub package_digests: PackageDigests,
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

/// Digests of the package lists: of names, versions, architectures, checksums and sizes, in their order.
///
/// Addresses are left out: the checksum says what is fetched, and mirrors move.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PackageDigests {
    /// Of the packages of the system itself, `sha256:` and hexadecimal.
    #[serde(deserialize_with = "checked_value::prefixed_sha256")]
    pub system: String,
    /// Of those of the build root.
    #[serde(deserialize_with = "checked_value::prefixed_sha256")]
    pub build: String,
}

impl PackageDigests {
    /// The digests that belong to these lists.
    pub fn of(packages: &LockedPackages) -> Self {
        Self {
            system: list_digest(&packages.system),
            build: list_digest(&packages.build),
        }
    }
}

fn list_digest(packages: &[LockedPackage]) -> String {
    let rows: Vec<_> = packages
        .iter()
        .map(|package| {
            let LockedPackage {
                name,
                version,
                architecture,
                sha256,
                size,
                ..
            } = package;
            (name, version, architecture, sha256, size)
        })
        .collect();
    let text = serde_json::to_string(&rows).expect("texts and numbers are always JSON");
    digest(text.as_bytes())
}

/// The one key that every version of the format has.
#[derive(Deserialize)]
struct VersionOnly {
    #[serde(rename = "lock-version")]
    lock_version: u64,
}

/// One pinned package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its exact version.
    pub version: String,
    /// Its architecture, or `all`, or `noarch`.
    pub architecture: String,
    /// Where it can be fetched, the preferred address first.
    #[serde(deserialize_with = "checked_value::addresses")]
    pub urls: Vec<String>,
    /// SHA-256 of the archive, in hexadecimal.
    #[serde(deserialize_with = "checked_value::sha256")]
    pub sha256: String,
    /// Size of the archive in bytes.
    pub size: u64,
}

/// The state of one suite or RPM repository when packages were chosen from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedRepository {
    /// Base address it was read from.
    pub address: String,
    /// Its suite; RPM repositories have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// The `Date` of its release file, or the revision of its RPM metadata, as written there.
    pub date: String,
    /// SHA-256 of its `InRelease` file, in hexadecimal.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "checked_value::optional_sha256"
    )]
    pub in_release_sha256: Option<String>,
    /// SHA-256 of the file `repomd.xml` of an RPM repository, in hexadecimal.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "checked_value::optional_sha256"
    )]
    pub repomd_sha256: Option<String>,
}

impl Lock {
    /// The lock's usual place: beside the recipe, with the ending `.lock`.
    pub fn path_for(recipe: &Path) -> PathBuf {
        recipe.with_extension("lock")
    }

    /// Reads a lock from its text, and checks everything that can be checked without its recipe.
    pub fn from_json(text: &str) -> Result<Self, LockError> {
        // Of another version not even the other keys can be judged.
        if let Ok(VersionOnly { lock_version }) = serde_json::from_str(text)
            && lock_version != u64::from(LOCK_VERSION)
        {
            return Err(LockError::of_version(lock_version));
        }
        let lock: Self = serde_json::from_str(text).map_err(|error| LockError::garbled(&error))?;
        let actual = PackageDigests::of(&lock.packages);
        for (list, recorded, actual) in [
            ("system", &lock.package_digests.system, &actual.system),
            ("build", &lock.package_digests.build, &actual.build),
        ] {
            if recorded != actual {
                return Err(LockError::changed(list, text, recorded));
            }
        }
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
        let wanted = format!("{} {}", recipe.release, recipe.architecture_word());
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
