//! What `--inspect` prints: the manifest with the ids of its stages.

use crate::manifest::{Manifest, Version};
use crate::value::Value;

/// Describes a manifest in its own format, with ids.
pub fn inspect(manifest: &Manifest) -> Value {
    match manifest.version {
        Version::One => crate::formats::version_1::inspect(manifest),
        Version::Two => crate::formats::version_2::inspect(manifest),
    }
}
