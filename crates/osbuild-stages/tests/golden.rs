//! Golden pairs: what a stage makes of a tree.
//!
//! `tests/data/stages/NAME/CASE.txt` has the options, the tree before, and the difference that the stage makes:
//!
//! ```text
//! What the case shows.
//!
//! options
//!   {"hostname": "mail"}
//! before
//!   etc/ 0755
//!   etc/hostname 0644
//!     | localhost
//! programs
//!   systemd-firstboot
//!     | echo mail >etc/hostname
//! difference
//!   ~ etc/hostname 0644
//!     | mail
//! ```
//!
//! A section `root` says why only root can run the stage, `status` what it ends with unless that is 0.
//!
//! `+` is a new entry, `-` one that is gone, `~` one that is not what it was; a link is `NAME -> TARGET`, a line ending
//! in `\` one without an end. `programs` stand in for those of the build root. `UPDATE_GOLDEN=1` writes the
//! differences anew; read them before committing them.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod golden {
    pub(crate) mod case;
    pub(crate) mod tree;
}

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use golden::case::Case;
use golden::tree::{self, Tree};
use osbuild_stage_api::ExitWith;
use osbuild_stage_api::testing::{Ran, StageTest};
use osbuild_stages::lookup;

/// Stages of 2020 and of today: each must have a pair. `dnf`, `rpm` and `yum`, which install packages, have tests of
/// their own in `tests/system` and `tests/conformance`; so has `script`, which needs a sandbox.
const WITH_PAIRS: &[&str] = &[
    "chrony",
    "debug-shell",
    "error",
    "firewall",
    "groups",
    "noop",
    "users",
    "fix-bls",
    "grub2",
    "kernel-cmdline",
    "keymap",
    "selinux",
    "test",
    "zipl",
    "fstab",
    "hostname",
    "locale",
    "systemd",
    "timezone",
    "anaconda",
    "containers.unit.create",
    "dnf-automatic.config",
    "dnf.config",
    "dnf.module-config",
    "grub2.d",
    "ignition",
    "livesys",
    "pacman.conf",
    "pacman.mirrorlist.conf",
    "rpm.macros",
    "treeinfo",
    "yum.config",
    "yum.repos",
];

#[test]
fn every_stage_makes_the_difference_that_is_expected() {
    check_native(|case| !case.needs_root);
}

#[test]
fn every_stage_that_needs_root_makes_the_difference_that_is_expected() {
    osbuild_testing::needs![root];
    check_native(|case| case.needs_root);
}

fn check_native(is_wanted: impl Fn(&Case) -> bool) {
    let is_update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut checked = 0;
    for (name, file) in cases() {
        let case = Case::read(&file).unwrap();
        if !is_wanted(&case) {
            continue;
        }
        let difference = run_native(&name, &case);
        if is_update {
            fs_err::write(&file, case.with_difference(&difference)).unwrap();
        } else {
            assert_eq!(difference, case.difference, "{}", file.display());
        }
        checked += 1;
    }
    assert!(checked > 0);
}

#[test]
fn the_stages_that_need_a_pair_have_one() {
    let have: BTreeSet<String> = cases().into_iter().map(|(name, _)| name).collect();
    for name in WITH_PAIRS {
        assert!(have.contains(*name), "{name} has no golden pair");
    }
}

#[test]
#[ignore = "compares with upstream: needs its checkout in UPSTREAM, a Python for it in UPSTREAM_PYTHON, and root"]
fn upstreams_stages_make_the_same_difference() {
    let upstream = PathBuf::from(std::env::var_os("UPSTREAM").unwrap());
    let mut compared = 0;
    for (name, file) in cases() {
        let case = Case::read(&file).unwrap();
        let stage = upstream.join(format!("stages/org.osbuild.{name}"));
        if case.is_ours_alone || !stage.exists() {
            eprintln!("ours alone: {}", file.display());
            continue;
        }
        let difference = run_upstream(&stage, &case);
        assert_eq!(difference, case.difference, "{}", file.display());
        compared += 1;
    }
    eprintln!("{compared} pairs are equal");
    assert!(compared > 0);
}

/// Every case, with the short name of its stage.
fn cases() -> Vec<(String, PathBuf)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/stages");
    let mut cases = Vec::new();
    for stage in fs_err::read_dir(top).unwrap() {
        let stage = stage.unwrap();
        let name = stage.file_name().into_string().unwrap();
        for file in fs_err::read_dir(stage.path()).unwrap() {
            cases.push((name.clone(), file.unwrap().path()));
        }
    }
    cases.sort();
    cases
}

fn prepare(name: &str, case: &Case) -> StageTest {
    let stage = lookup(&format!("org.osbuild.{name}"));
    let stage = stage.unwrap_or_else(|| panic!("there is no stage {name}"));
    let mut test = StageTest::new(stage, case.options.clone());
    for (program, script) in &case.programs {
        test = test.program(program, script);
    }
    case.before.write(&test.tree()).unwrap();
    test
}

fn run_native(name: &str, case: &Case) -> String {
    let test = prepare(name, case);
    assert_eq!(status(test.run()), case.status, "{name}");
    case.before.difference(&Tree::read(&test.tree()).unwrap())
}

/// What a program that runs the stage would end with; any error but a wanted status fails the test.
fn status(ran: Ran) -> u8 {
    let wanted = ran.result.as_ref().err();
    match wanted.and_then(|error| error.downcast_ref::<ExitWith>()) {
        Some(ExitWith(status)) => *status,
        None => {
            ran.success();
            0
        }
    }
}

/// Runs a stage of upstream on the same tree, with what it would be given in the sandbox.
fn run_upstream(stage: &Path, case: &Case) -> String {
    let name = stage.file_name().unwrap().to_str().unwrap();
    let test = prepare(name.strip_prefix("org.osbuild.").unwrap(), case);
    let arguments = test.workspace().join("arguments");
    let document = serde_json::json!({
        "tree": test.tree(), "options": case.options, "inputs": {}, "devices": {}, "mounts": {},
        "paths": {"devices": "/dev", "inputs": "/nonexistent", "mounts": test.mounts()}, "meta": {},
    });
    fs_err::write(&arguments, document.to_string()).unwrap();
    let python = std::env::var_os("UPSTREAM_PYTHON").unwrap_or_else(|| "python3".into());
    let path = std::env::var("PATH").unwrap();
    let output = std::process::Command::new(python)
        .args(["-c", tree::RUN_UPSTREAM])
        .arg(stage)
        .arg(arguments)
        .env("PYTHONPATH", python_path(stage))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PATH", format!("{}/bin:{path}", test.workspace().display()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(case.status.into()),
        "{name}: {text}"
    );
    case.before.difference(&Tree::read(&test.tree()).unwrap())
}

/// Upstream's own package, before whatever the caller has for its stages to import.
fn python_path(stage: &Path) -> std::ffi::OsString {
    let upstream = stage.parent().unwrap().parent().unwrap().to_owned();
    let others = std::env::var_os("PYTHONPATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(upstream).chain(std::env::split_paths(&others))).unwrap()
}
