//! One module explained: what it does, what it takes, and an example.

use anyhow::{Context as _, anyhow};
use osbuild_engine::module_catalog::ModuleCatalog;
use osbuild_manifest::module::{ModuleIndex as _, ModuleInfo};
use osbuild_manifest::module_guide::{Member, ModuleGuide, one_line};
use osbuild_manifest::suggestion::nearest;
use osbuild_manifest::value::Value;
use serde_json::json;
use std::sync::Arc;

use super::arguments::ShowArguments;
use super::list::KINDS;
use crate::failure::{Failure, FailureKind, Failures};

/// What names may be written without.
const PREFIX: &str = "org.osbuild.";
/// Columns of a line.
const WIDTH: usize = 100;
const EXAMPLE_INDENT: usize = 2;

/// Explains every module of that name: a stage and an assembler may share one.
pub(super) fn text(catalog: &ModuleCatalog, arguments: &ShowArguments) -> Result<String, Failures> {
    let guides = find(catalog, &arguments.name)?
        .iter()
        .map(|module| {
            ModuleGuide::of(module)
                .with_context(|| format!("explaining {} `{}`", module.kind.noun(), module.name))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    if arguments.json {
        let guides: Vec<_> = guides.iter().map(json).collect();
        return Ok(format!("{:#}\n", json!(guides)));
    }
    let texts: Vec<_> = guides.iter().map(explanation).collect();
    Ok(texts.join("\n"))
}

fn find(catalog: &ModuleCatalog, name: &str) -> Result<Vec<Arc<ModuleInfo>>, Failures> {
    let whole = format!("{PREFIX}{name}");
    for name in [name, &whole] {
        let modules: Vec<_> = KINDS
            .iter()
            .filter_map(|kind| catalog.module(*kind, name))
            .collect();
        if !modules.is_empty() {
            return Ok(modules);
        }
    }
    let error = anyhow!("there is no module `{name}`");
    let failure = Failure::new(FailureKind::Build, error);
    let names = KINDS.iter().flat_map(|kind| catalog.names(*kind));
    let names: Vec<String> = names.collect();
    let names = nearest(name, names.iter().map(String::as_str));
    let hint = match names.as_slice() {
        [] => "`osbuild modules` lists them".to_owned(),
        names => format!("did you mean `{}`?", names.join("`, `")),
    };
    Err(failure.with_hint(hint).into())
}

fn json(guide: &ModuleGuide) -> serde_json::Value {
    let member = |member: &Member| {
        json!({
            "path": member.path,
            "required": member.is_required,
            "value": member.value,
            "description": one_line(&member.description),
        })
    };
    let members: Vec<_> = guide.members.iter().map(member).collect();
    json!({
        "name": guide.name,
        "kind": guide.kind.noun(),
        "summary": guide.summary,
        "description": guide.description,
        "capabilities": guide.capabilities,
        "uses": guide.services,
        guide.takes: members,
        "example": guide.example,
    })
}

fn explanation(guide: &ModuleGuide) -> String {
    let mut text = format!(
        "{} ({}): {}\n",
        guide.name,
        guide.kind.noun(),
        guide.summary
    );
    if !guide.description.is_empty() {
        text += &format!("\n{}\n", guide.description.trim_end());
    }
    if !guide.capabilities.is_empty() {
        text += &format!("\nNeeds {}.\n", guide.capabilities.join(", "));
    }
    if !guide.services.is_empty() {
        text += &format!("\nCan use {}.\n", guide.services.join("; "));
    }
    if guide.members.is_empty() {
        text += &format!("\nTakes no {}.\n", guide.takes);
    } else {
        let mut title = guide.takes.to_owned();
        title[..1].make_ascii_uppercase();
        text += &format!("\n{title}:\n");
        text.extend(guide.members.iter().map(member));
    }
    if let Some(example) = &guide.example {
        let example = Value::from_serde(example).to_indented_python_json(EXAMPLE_INDENT);
        text += "\nExample:\n";
        text.extend(example.lines().map(|line| format!("  {line}\n")));
    }
    text
}

fn member(member: &Member) -> String {
    let required = if member.is_required { ", required" } else { "" };
    let mut text = format!("  {}: {}{required}\n", member.path, one_line(&member.value));
    for line in wrapped(&member.description, WIDTH - 6) {
        text += &format!("      {line}\n");
    }
    text
}

/// Breaks a text into lines of at most so many characters, where its words allow it.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(name: &str) -> Result<String, Failures> {
        let arguments = ShowArguments {
            name: name.to_owned(),
            json: false,
            libdir: None,
        };
        text(&ModuleCatalog::built_in(), &arguments)
    }

    #[test]
    fn a_module_is_explained_with_its_options_and_an_example() {
        let text = show("hostname").unwrap();
        assert!(text.starts_with("org.osbuild.hostname (stage): Set the name of the machine\n\n"));
        assert!(
            text.contains("\nOptions:\n  hostname: string, required\n"),
            "{text}"
        );
        let (_, example) = text.split_once("\nExample:\n").unwrap();
        let example: serde_json::Value = serde_json::from_str(example).unwrap();
        assert_eq!(example["type"], "org.osbuild.hostname");
    }

    #[test]
    fn a_stage_and_an_assembler_of_one_name_are_both_explained() {
        let text = show("org.osbuild.tar").unwrap();
        assert!(text.starts_with("org.osbuild.tar (stage): "));
        assert!(text.contains("\norg.osbuild.tar (assembler): "));
    }

    #[test]
    fn a_slip_gets_a_suggestion() {
        let failures = show("hostnam").unwrap_err();
        assert_eq!(
            failures.0[0].to_string(),
            "error: there is no module `hostnam`\n  help: did you mean `org.osbuild.hostname`?\n"
        );
    }

    /// A module without one gets it by a text that its pattern allows in `module_guide/example_texts.rs`.
    #[test]
    fn every_module_has_an_example_that_its_schema_allows() {
        let catalog = ModuleCatalog::built_in();
        let mut without = Vec::new();
        for kind in KINDS {
            for name in catalog.names(kind) {
                let module = catalog.module(kind, &name).unwrap();
                if ModuleGuide::of(&module).unwrap().example.is_none() {
                    without.push(format!("{} {name}", kind.noun()));
                }
            }
        }
        assert_eq!(without, [""; 0]);
    }

    #[test]
    fn long_texts_are_broken_between_words() {
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("overlong a", 4), ["overlong", "a"]);
        assert_eq!(wrapped("", 4), [""; 0]);
    }
}
