//! Packages that must be signed.

use serde_json::json;

use crate::manifests::{Build, checked};
use crate::package_set::PackageSet;

/// Installing a package that must be signed fails, with this at the end of its name and what else is said.
#[track_caller]
fn assert_refused(package: &str, reason: &str) {
    let set = PackageSet::get();
    let build = Build::of(
        &["weak", package],
        &checked(),
        &json!({"gpgkeys": [set.key], "nodeps": true}),
    );
    let output = build.fail();
    let expected = format!(
        "CalledProcessError: the signature check of {} ({package}-1-1.noarch) failed: {reason}\n",
        set.checksum(package)
    );
    assert!(output.ends_with(&expected), "{output}");
}

#[test]
fn a_package_without_a_signature_is_refused() {
    needs_packages!();
    assert_refused("unsigned", "it is not signed");
}

#[test]
fn a_package_that_someone_else_has_signed_is_refused() {
    needs_packages!();
    assert_refused("stranger", "digests SIGNATURES NOT OK");
}

/// That it was good when it was used is all that rpm asks of a key, here as upstream.
#[test]
fn a_key_may_have_expired_since() {
    needs_packages!();
    let set = PackageSet::get();
    let options = json!({"gpgkeys": [set.expired_key]});
    let build = Build::of(&["expired"], &checked(), &options);
    build.succeed();
    assert!(build.workplace.path("out/tree/usr/share/expired").exists());
    let build = Build::of(&["expired"], &checked(), &json!({"gpgkeys": [set.key]}));
    assert!(build.fail().contains("SIGNATURES NOT OK"));
}

#[test]
fn packages_that_need_not_be_signed_are_not_checked() {
    needs_packages!();
    let build = Build::of(&["unsigned", "stranger"], &json!({}), &json!({}));
    build.succeed();
    for name in ["unsigned", "stranger"] {
        let file = format!("out/tree/usr/share/{name}");
        assert!(build.workplace.path(&file).exists());
    }
}
