//! Where upstream's tree is, for tests that compare with it.

#![expect(clippy::print_stdout, reason = "a skipped test says why")]

use std::path::PathBuf;

/// The checkout of upstream named by `OSBUILD_UPSTREAM`.
pub(crate) fn upstream() -> Option<PathBuf> {
    let directory = std::env::var_os("OSBUILD_UPSTREAM").map(PathBuf::from);
    if directory.is_none() {
        println!("skipped: needs OSBUILD_UPSTREAM, a checkout of upstream osbuild");
    }
    directory
}
