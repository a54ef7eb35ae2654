//! Where upstream's tree is, for tests that compare with it when someone asks for that.

use std::ffi::OsString;
use std::path::PathBuf;

/// The checkout of upstream named by `UPSTREAM`.
pub(crate) fn upstream() -> PathBuf {
    required("UPSTREAM", "a checkout of upstream osbuild").into()
}

/// A variable that whoever runs an ignored test must set.
pub(crate) fn required(name: &str, meaning: &str) -> OsString {
    std::env::var_os(name).unwrap_or_else(|| panic!("set {name} to {meaning}"))
}
