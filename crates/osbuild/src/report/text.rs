//! The text report of `osbuild MANIFEST`, in upstream's form.

use std::collections::BTreeSet;

use osbuild_manifest::manifest::{Manifest, StageId};
use osbuild_manifest::validate::{ValidationError, errors_text};
use osbuild_manifest::value::Value;
use osbuild_store::Store;

use crate::terminal_style::Style;

/// Lists pipelines with their ids, and which of the checkpoints are in the store.
pub(crate) fn success(
    manifest: &Manifest,
    checkpoints: &BTreeSet<StageId>,
    store: &Store,
    style: Style,
) -> String {
    let mut text = String::from("\nPipelines\n");
    for pipeline in &manifest.pipelines {
        let name = format!("{}:", style.foreign(&pipeline.name));
        let id = pipeline.id().map_or("None", |id| id.as_str());
        text += &format!("  {name:<10}\t{id}\n");
    }
    text += "\nCheckpoints\n";
    for id in checkpoints {
        let state = if store.contains(id.as_str()) {
            "cached".to_owned()
        } else {
            style.alarm("not cached")
        };
        text += &format!("  {id}: {state}\n");
    }
    text
}

/// Gives the ids of tree and output, which is what the versions of 2020 said of a success.
pub(crate) fn seed_success(manifest: &Manifest) -> String {
    let id_of = |name: &str| {
        let pipeline = manifest.find_pipeline(name)?;
        manifest.pipelines[pipeline].id().map(StageId::as_str)
    };
    let [tree, output] = ["tree", "assembler"].map(|name| id_of(name).unwrap_or("None"));
    format!("tree id: {tree}\noutput id: {output}\n")
}

/// Says that the build failed.
pub(crate) fn failed(style: Style) -> String {
    format!("{}\n", style.alarm("Failed"))
}

/// Says that the build was interrupted.
pub(crate) fn aborted(style: Style) -> String {
    format!("\n{}\n", style.alarm("Aborted"))
}

/// Says which exports are no pipelines.
pub(crate) fn unknown_exports(manifest: &Manifest, unknown: &[&String], style: Style) -> String {
    let names: Vec<String> = manifest
        .pipelines
        .iter()
        .map(|pipeline| Value::from(pipeline.name.as_str()).to_python_repr())
        .collect();
    let names = names.join(", ");
    let line = |word: &&String| format!("Export {} not found in [{names}]\n", style.bold(word));
    let lines: String = unknown.iter().map(line).collect();
    lines + &failed(style)
}

/// Says that no pipeline or stage is meant by the checkpoints.
pub(crate) fn no_checkpoints(style: Style) -> String {
    format!(
        "No checkpoints matched provided patterns!\n{}",
        failed(style)
    )
}

/// Lists what is wrong with a manifest.
pub(crate) fn validation_errors(name: &str, errors: &[ValidationError], style: Style) -> String {
    if style == Style::Plain {
        return errors_text(errors, name);
    }
    let name = if name == "-" { "<stdin>" } else { name };
    let mut text = format!("{} has {}:\n\n", style.bold(name), style.red("errors"));
    for error in errors {
        let id = style.bold(&error.id());
        text += &format!("{id}:\n  {}\n\n", style.foreign(&error.message));
    }
    text
}

#[cfg(test)]
mod tests {
    use osbuild_engine::module_catalog::ModuleCatalog;
    use osbuild_manifest::resolve::resolve;

    use super::*;

    #[test]
    fn a_terminal_is_given_colours_of_ours_and_no_escapes_of_others() {
        let text = r#"{"version": "2", "pipelines": [{"name": "a\u001b[2J"}]}"#;
        let value = Value::from_json(text).unwrap();
        let manifest = resolve(&value, &ModuleCatalog::built_in(), "org.osbuild.linux").unwrap();
        let word = "b\x1b".to_owned();
        assert_eq!(
            unknown_exports(&manifest, &[&word], Style::Terminal),
            "Export \x1b[1mb\\u{1b}\x1b[0m not found in ['a\\x1b[2J']\n\x1b[0m\x1b[1m\x1b[31mFailed\x1b[0m\n"
        );
        assert_eq!(
            unknown_exports(&manifest, &[&word], Style::Plain),
            "Export b\x1b not found in ['a\\x1b[2J']\nFailed\n"
        );
    }
}
