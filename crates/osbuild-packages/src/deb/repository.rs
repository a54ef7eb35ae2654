//! Fetches package indices: `InRelease`, checked against a keyring, then `Packages`, checked against it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A Debian repository, as a recipe or apt's configuration names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// The address under which `dists/` lies.
    pub uri: String,
    /// A suite or code name; one that ends in `/` is a flat repository.
    pub suite: String,
    /// Components such as `main`; empty for a flat repository.
    #[serde(default)]
    pub components: Vec<String>,
    /// Architectures to read; empty means the one that packages are chosen for.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// Files with the keys that may sign it; empty means the default keyrings.
    #[serde(default)]
    pub keyring: Vec<PathBuf>,
}

/// What is known about the repository that an index came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexOrigin {
    /// The address of the index.
    pub url: String,
    /// The address that `Filename` fields are relative to.
    pub base_url: String,
    /// `Origin` of the release.
    pub origin: String,
    /// `Suite` of the release.
    pub suite: String,
    /// `Codename` of the release.
    pub codename: String,
    /// The component of the index.
    pub component: String,
    /// apt's priority for versions from here: 500, or less if the release asks for it.
    pub pin_priority: i32,
}

/// The text of one `Packages` file and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageIndex {
    /// The stanzas.
    pub text: String,
    /// Where they came from.
    pub origin: IndexOrigin,
}
