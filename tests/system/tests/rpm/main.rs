//! RPM packages in real builds: what `org.osbuild.rpm` and `org.osbuild.dnf` make of packages that are made here, beside
//! what `rpm` itself makes of them.
//!
//! `OSBUILD_BINARY` names the program; without it the debug build of this checkout is taken.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of these tests are test code, too"
)]

/// Needs what the package set is made and installed with.
macro_rules! needs_packages {
    () => {
        osbuild_testing::needs![
            root,
            tool("rpm"),
            tool("rpmbuild"),
            tool("rpmsign"),
            tool("gpg")
        ];
    };
}

mod manifests;
mod package_set;
mod small_system;

mod bad_packages;
mod chosen;
mod dnf;
mod installed;
mod options;
mod recipe;
mod signatures;
