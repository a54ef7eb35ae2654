//! Recipes that were handed in as manifests, and manifests as recipes: said in one sentence, instead of
//! as many as there are keys.

use std::path::Path;

use anyhow::anyhow;
use osbuild_manifest::value::Value;

use crate::failure::{Failure, FailureKind};

/// Keys that every recipe has.
const RECIPE_KEYS: [&str; 2] = ["distribution", "release"];
/// Keys of which every manifest that builds something has one.
const MANIFEST_KEYS: [&str; 2] = ["pipelines", "pipeline"];

/// Tells that a file taken for a recipe is a manifest.
pub(crate) fn manifest_as_recipe(path: &Path) -> Option<Failure> {
    // What can not be read is told by the reader of recipes.
    let text = fs_err::read_to_string(path).ok()?;
    let name = path.display();
    if let Ok(value) = Value::from_json(&text) {
        return has_any(&value, &MANIFEST_KEYS).then(|| {
            let error = anyhow!("`{name}` is a manifest, but its name ends like that of a recipe");
            let renamed = path.with_extension("json");
            Failure::new(FailureKind::Document, error)
                .with_hint(format!("rename it to `{}`", renamed.display()))
        });
    }
    let is_manifest = text.lines().any(|line| {
        MANIFEST_KEYS.iter().any(|key| {
            line.strip_prefix(key)
                .is_some_and(|rest| rest.starts_with(':'))
        })
    });
    is_manifest.then(|| {
        let error = anyhow!("`{name}` is a manifest in YAML, but manifests are JSON");
        Failure::new(FailureKind::Document, error).with_hint(format!(
            "write it as JSON: `yq -o json . {name} > {}` does",
            path.with_extension("json").display()
        ))
    })
}

/// Tells that what was parsed as a manifest is a recipe.
pub(crate) fn recipe_as_manifest(name: &str, value: &Value) -> Option<Failure> {
    let is_recipe = has_any(value, &RECIPE_KEYS) && !has_any(value, &MANIFEST_KEYS);
    is_recipe.then(|| {
        let error = anyhow!("`{name}` is a recipe, but its name does not end like that of one");
        let renamed = Path::new(name).with_extension("yaml");
        Failure::new(FailureKind::Document, error).with_hint(format!(
            "JSON is YAML too: rename it to `{}`",
            renamed.display()
        ))
    })
}

/// Advises on text that is no JSON, if its file's name says nothing of JSON.
pub(crate) fn advice_on_syntax(name: &str) -> Option<&'static str> {
    let is_json = name == "-"
        || Path::new(name)
            .extension()
            .is_some_and(|ending| ending == "json");
    (!is_json).then_some("if it is a recipe, let its name end in `.yaml`")
}

fn has_any(value: &Value, keys: &[&str]) -> bool {
    value
        .as_object()
        .is_some_and(|object| keys.iter().any(|key| object.get(key).is_some()))
}
