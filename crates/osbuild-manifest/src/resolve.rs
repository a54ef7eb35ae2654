//! Valid value to manifest: follows every reference and computes every id.

use std::fmt;

use crate::document::{PathElement, path_id};
use crate::manifest::{Manifest, Version};
use crate::module::ModuleIndex;
use crate::value::Value;

/// Resolves a manifest that [`crate::validate::validate`] found nothing wrong with.
///
/// `host_runner` is the runner of the host, as a manifest would ask for it (`org.osbuild.debian12`); it serves the
/// pipelines that are built without a build tree.
pub fn resolve(
    manifest: &Value,
    modules: &dyn ModuleIndex,
    host_runner: &str,
) -> Result<Manifest, ResolveError> {
    match Version::detect(manifest) {
        Some(Version::One) => crate::formats::version_1::resolve(manifest, modules, host_runner),
        Some(Version::Two) => crate::formats::version_2::resolve(manifest, modules, host_runner),
        None => Err(ResolveError::new(
            "unsupported manifest format",
            &["version".into()],
        )),
    }
}

/// Why a manifest that is valid by itself can not be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveError {
    /// What is wrong, lower case.
    pub message: String,
    /// Where in the manifest.
    pub path: Vec<PathElement>,
}

impl ResolveError {
    pub(crate) fn new(message: impl Into<String>, path: &[PathElement]) -> Self {
        Self {
            message: message.into(),
            path: path.to_vec(),
        }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", path_id(&self.path), self.message)
    }
}

impl std::error::Error for ResolveError {}
