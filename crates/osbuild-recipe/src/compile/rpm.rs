//! The stage that installs RPM packages.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::sources::Sources;
use super::stage::stage_with_inputs;
use crate::attachments::Attachments;
use crate::lock::LockedPackage;
use crate::recipe::Recipe;

/// Installs packages into the tree; each has to be signed by one of the keys that the recipe names.
pub(super) fn packages(
    recipe: &Recipe,
    attachments: &Attachments,
    packages: &[LockedPackage],
    sources: &mut Sources,
) -> Value {
    let must_be_signed = json!({ "metadata": { "rpm.check_gpg": true } });
    let references: Map<String, Value> = packages
        .iter()
        .map(|package| (sources.package(package), must_be_signed.clone()))
        .collect();
    let inputs = json!({ "packages": {
        "type": "org.osbuild.files",
        "origin": "org.osbuild.source",
        "references": references,
    } });
    let options = json!({
        "dbpath": recipe.release.rpm_database(),
        "gpgkeys": keys(recipe, attachments),
    });
    stage_with_inputs("org.osbuild.rpm", inputs, options)
}

/// The keys of all repositories, each once.
fn keys(recipe: &Recipe, attachments: &Attachments) -> BTreeSet<String> {
    let repositories = recipe.repositories.iter();
    repositories
        .filter_map(|repository| attachments.get(&repository.keyring))
        .map(|key| String::from_utf8_lossy(key).into_owned())
        .collect()
}
