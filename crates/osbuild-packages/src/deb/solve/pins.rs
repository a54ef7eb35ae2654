//! The answer: each chosen package, with what is needed to fetch and check it.

use serde::{Deserialize, Serialize};

use super::{SolveError, marking::Marking};
use crate::deb::{
    control::Stanza,
    universe::{Universe, VersionId},
};

/// A chosen package: what it is, where it is, and what its archive must hash to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackagePin {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The architecture of its archive, or `all`.
    pub architecture: String,
    /// Where its archive is.
    pub url: String,
    /// The SHA-256 of its archive, in hexadecimal.
    pub sha256: String,
    /// The size of its archive in bytes.
    pub size: u64,
    /// The source package it was built from.
    pub source: String,
    /// Its section, or empty.
    pub section: String,
    /// Its priority, or empty.
    pub priority: String,
    /// Whether the system cannot do without it.
    pub essential: bool,
    /// The space its files take, in KiB.
    pub installed_size: u64,
}

/// Describes the chosen packages, sorted by name.
pub(super) fn collect(marking: &Marking<'_, '_>) -> Result<Vec<PackagePin>, SolveError> {
    let mut pins: Vec<PackagePin> = marking
        .chosen()
        .map(|(_, version)| describe(marking.universe, version))
        .collect::<Result<_, _>>()?;
    pins.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(pins)
}

fn describe(universe: &Universe<'_>, id: VersionId) -> Result<PackagePin, SolveError> {
    let version = universe.version(id);
    let stanza = universe.stanza(id);
    let name = universe.name(version.package);
    let incomplete = |field: &'static str| SolveError::Incomplete {
        name: name.to_owned(),
        version: version.number.to_owned(),
        field,
    };
    let required = |field: &'static str| stanza.get(field).ok_or_else(|| incomplete(field));
    let base = &universe.indices()[version.index as usize].origin.base_url;
    let sha256 = required("SHA256")?;
    if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(incomplete("SHA256"));
    }
    Ok(PackagePin {
        name: name.to_owned(),
        version: version.number.to_owned(),
        architecture: required("Architecture")?.to_owned(),
        url: format!(
            "{}/{}",
            base.trim_end_matches('/'),
            required("Filename")?.trim_start_matches("./")
        ),
        sha256: sha256.to_ascii_lowercase(),
        size: required("Size")?.parse().map_err(|_| incomplete("Size"))?,
        source: stanza.words("Source").next().unwrap_or(name).to_owned(),
        section: text(stanza, "Section"),
        priority: text(stanza, "Priority"),
        essential: stanza.get("Essential") == Some("yes"),
        installed_size: stanza
            .get("Installed-Size")
            .and_then(|size| size.parse().ok())
            .unwrap_or(0),
    })
}

fn text(stanza: Stanza<'_>, field: &str) -> String {
    stanza.get(field).unwrap_or("").to_owned()
}
