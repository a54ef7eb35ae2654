//! The formats of manifests.
pub(crate) mod version_1;
pub(crate) mod version_2;
