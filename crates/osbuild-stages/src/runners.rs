//! The runner.

use std::ffi::OsString;
use std::process::ExitCode;

/// Names.
pub(crate) fn is_runner(name: &str) -> bool {
    RUNNERS.binary_search(&name).is_ok()
}

/// The names of the runners, sorted as in the table.
pub static RUNNERS: &[&str] = &[
    "org.osbuild.AutoSD9",
    "org.osbuild.almalinux8",
    "org.osbuild.almalinux9",
    "org.osbuild.arch",
    "org.osbuild.asahi-fedora-remix",
    "org.osbuild.autosd",
    "org.osbuild.centos8",
    "org.osbuild.centos9",
    "org.osbuild.debian",
    "org.osbuild.eln11",
    "org.osbuild.fedora-asahi-remix",
    "org.osbuild.fedora30",
    "org.osbuild.fedora38",
    "org.osbuild.linux",
    "org.osbuild.ol9",
    "org.osbuild.rhel7",
    "org.osbuild.rhel81",
    "org.osbuild.rhel82",
    "org.osbuild.rhivos",
    "org.osbuild.ubuntu1804",
];

pub(crate) fn run(_arguments: impl Iterator<Item = OsString>) -> ExitCode {
    ExitCode::FAILURE
}
