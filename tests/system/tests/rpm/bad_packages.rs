//! Packages that can not be installed, and what is said of them.

use fs_err as fs;
use osbuild_testing::deb_repository::sha256;
use osbuild_testing::server::Answer;
use serde_json::{Value, json};

use crate::manifests::{Build, rpm_stage};
use crate::package_set::PackageSet;

#[track_caller]
fn assert_fails(packages: &[&str], reason: &str) {
    let output = Build::of(packages, &json!({}), &json!({})).fail();
    assert!(output.contains(reason), "{reason}\n{output}");
}

#[test]
fn a_script_that_fails_fails_the_stage() {
    needs_packages!();
    assert_fails(
        &["failing"],
        "error: lua script failed: [string \"%prein(failing-1-1.noarch)\"]:1: the script does not like it here",
    );
}

#[test]
fn packages_that_do_not_fit_together_are_told() {
    needs_packages!();
    assert_fails(
        &["needy"],
        "\tnothing-has-it is needed by needy-1-1.noarch\n",
    );
    assert_fails(
        &["successor", "rival"],
        "\trival conflicts with successor-1-1.noarch\n",
    );
}

/// The manifest has the checksum of the damaged file: it was damaged before.
#[test]
fn damaged_packages_are_named() {
    needs_packages!();
    let whole = fs::read(PackageSet::get().file("keys")).unwrap();
    let mut changed = whole.clone();
    let at = changed.len() - 20;
    changed[at] ^= 1;
    for (content, reason) in [
        (changed, "the MD5 digest of the package "),
        (whole[..at].to_vec(), "/packages/[checksum]"),
        (
            b"<html>".to_vec(),
            "/packages/[checksum]: it is no RPM package",
        ),
    ] {
        let checksum = format!("sha256:{}", sha256(&content));
        let mut stage = rpm_stage(&["keys"], &json!({}), &json!({}));
        stage["inputs"]["packages"]["references"][0]["id"] = json!(checksum);
        let mut build = Build::new().stages("tree", &json!([stage]));
        build.serve("/keys.rpm", &checksum, content);
        let output = build.fail().replace(&checksum, "[checksum]");
        assert!(
            output.contains(reason) && output.contains("[checksum]"),
            "{reason}\n{output}"
        );
    }
}

/// The packages were chosen before the repository replaced one by another.
#[test]
fn a_repository_that_changed_since_packages_were_chosen_is_told() {
    needs_packages!();
    let set = PackageSet::get();
    let build = Build::of(&["successor", "weak"], &json!({}), &json!({}));
    let other = fs::read(set.file("predecessor")).unwrap();
    let found = sha256(&other);
    build.server.answer("/weak.rpm", [Answer::File(other)]);
    let ran = build.run();
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    let result: Value = serde_json::from_str(&ran.stdout).unwrap();
    let source = &result["error"]["details"]["source"];
    let checksum = set.checksum("weak");
    assert_eq!(
        source["output"],
        format!(
            "failed to move to target directory: checksum mismatch: {checksum} [mirror]/weak.rpm (the file there \
             has sha256:{found}; has it been replaced?)"
        )
    );
    assert!(
        !build.workplace.path("out").exists(),
        "nothing was exported"
    );
    build.workplace.assert_usable();
}
