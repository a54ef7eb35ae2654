//! `docs/modules/`: every built-in module with its options and an example, a page for each kind, from the descriptions
//! that the program itself uses.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use osbuild_manifest::module::ModuleKind;
use osbuild_manifest::module_guide::{Member, ModuleGuide, one_line};
use osbuild_manifest::value::Value;

use crate::module_list::{self, KINDS};

const FOLDER: &str = "docs/modules";
const INDEX: &str = "README.md";
const NOTE: &str =
    "<!-- Written by `cargo xtask generate` from the *.meta.json files; edit those. -->";
const HEAD: &str = "\
Every module that is built into the program; `osbuild modules` lists them, too, and `osbuild modules show NAME` explains
one. Where upstream osbuild has a module of the same name, it takes the same options;
[differences.md](../differences.md) says where it behaves differently, and which modules upstream does not have.
";
const LEGEND: &str = "\
A member in bold has to be there. `a.b` is the member `b` of `a`, `a[].b` that of each item of the list `a`, and `a.*.b`
that of each member of `a`, whatever its name. Examples are made from the schemas: they show the form, not good sense.
";
const EXAMPLE_INDENT: usize = 2;

/// A file of the folder.
struct Page {
    name: String,
    text: String,
}

/// Writes the pages; returns where they are.
pub(crate) fn write(workspace: &Path) -> Result<&'static str> {
    let folder = workspace.join(FOLDER);
    fs_err::create_dir_all(&folder)?;
    for page in pages(workspace)? {
        fs_err::write(folder.join(page.name), page.text)?;
    }
    Ok(FOLDER)
}

/// Fails if the pages are not what the modules make them.
pub(crate) fn check(workspace: &Path) -> Result<()> {
    let folder = workspace.join(FOLDER);
    let pages = pages(workspace)?;
    let known: BTreeSet<_> = pages.iter().map(|page| page.name.clone()).collect();
    let mut found = BTreeSet::new();
    for entry in fs_err::read_dir(&folder)? {
        found.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    ensure!(
        found == known,
        "{FOLDER} has {found:?} and not {known:?}; run `cargo xtask generate`"
    );
    for page in pages {
        if fs_err::read_to_string(folder.join(&page.name))? != page.text {
            bail!(
                "{FOLDER}/{} is out of date; run `cargo xtask generate`",
                page.name
            );
        }
    }
    Ok(())
}

fn pages(workspace: &Path) -> Result<Vec<Page>> {
    let mut guides = Vec::new();
    for module in module_list::read(workspace)? {
        let guide = ModuleGuide::of(&module);
        guides.push(guide.with_context(|| format!("describing {}", module.name))?);
    }
    let mut index = format!("# Modules\n\n{NOTE}\n\n{HEAD}");
    let mut pages = Vec::new();
    for kind in KINDS {
        let file = format!("{}.md", kind.folder());
        let ours: Vec<_> = guides.iter().filter(|guide| guide.kind == kind).collect();
        index += &format!("\n## {}\n\n{}\n", title(kind), introduction(kind));
        index += "\n| name | does |\n|---|---|\n";
        let mut text = format!(
            "# {}\n\n{NOTE}\n\n{}\n\n{LEGEND}",
            title(kind),
            introduction(kind)
        );
        for guide in ours {
            let (name, summary) = (&guide.name, cell(&guide.summary));
            index += &format!("| [`{name}`]({file}#{}) | {summary} |\n", anchor(name));
            text += &section(guide);
        }
        pages.push(Page { name: file, text });
    }
    let name = INDEX.to_owned();
    pages.push(Page { name, text: index });
    Ok(pages)
}

fn title(kind: ModuleKind) -> &'static str {
    match kind {
        ModuleKind::Stage => "Stages",
        ModuleKind::Assembler => "Assemblers",
        ModuleKind::Source => "Sources",
        ModuleKind::Input => "Inputs",
        ModuleKind::Device => "Devices",
        ModuleKind::Mount => "Mounts",
        ModuleKind::Runner => "Runners",
    }
}

fn introduction(kind: ModuleKind) -> &'static str {
    match kind {
        ModuleKind::Stage => {
            "A step of a pipeline. Runs in the sandbox, on the tree of the pipeline."
        }
        ModuleKind::Assembler => {
            "Makes an image of the tree: the last step of a manifest of format 1. Runs in the sandbox."
        }
        ModuleKind::Source => {
            "Brings files to the machine before anything is built. Runs on the host."
        }
        ModuleKind::Input => "Hands files or trees to a stage. Runs on the host.",
        ModuleKind::Device => "Opens a device for a stage. Runs on the host.",
        ModuleKind::Mount => "Mounts a device for a stage. Runs on the host.",
        ModuleKind::Runner => "Prepares a build tree for running programs in it.",
    }
}

/// What a heading is linked by: dots go.
fn anchor(name: &str) -> String {
    name.to_lowercase().replace('.', "")
}

fn section(guide: &ModuleGuide) -> String {
    let mut text = format!("\n## {}\n", guide.name);
    if !guide.description.is_empty() {
        text += &format!("\n{}\n", guide.description);
    }
    if !guide.capabilities.is_empty() {
        text += &format!("\nNeeds `{}`.\n", guide.capabilities.join("`, `"));
    }
    if !guide.services.is_empty() {
        text += &format!("\nCan use: {}.\n", guide.services.join("; "));
    }
    text += &if guide.members.is_empty() {
        format!("\nTakes no {}.\n", guide.takes)
    } else {
        table(guide.takes, &guide.members)
    };
    if let Some(example) = &guide.example {
        let example = Value::from_serde(example).to_indented_python_json(EXAMPLE_INDENT);
        text += &format!("\n```json\n{example}\n```\n");
    }
    text
}

fn table(kind: &str, members: &[Member]) -> String {
    let title = kind.trim_end_matches('s');
    let mut text = format!("\n| {title} | value | meaning |\n|---|---|---|\n");
    for member in members {
        let name = if member.is_required {
            format!("**`{}`**", member.path)
        } else {
            format!("`{}`", member.path)
        };
        let (value, meaning) = (cell(&member.value), cell(&member.description));
        text += &format!("| {name} | {value} | {meaning} |\n");
    }
    text
}

/// Fits a text into a cell of a table.
fn cell(text: &str) -> String {
    one_line(text).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn guide(members: Vec<Member>) -> ModuleGuide {
        ModuleGuide {
            kind: ModuleKind::Stage,
            name: "org.osbuild.mkfs.x".to_owned(),
            summary: "Make x".to_owned(),
            description: "One line.\nAnother.".to_owned(),
            capabilities: vec!["CAP_MKNOD".to_owned()],
            services: vec!["devices `device`".to_owned(), "mounts".to_owned()],
            takes: "options",
            members,
            example: Some(json!({"type": "org.osbuild.mkfs.x"})),
        }
    }

    #[test]
    fn a_stage_has_a_section_with_its_options_and_an_example() {
        let member = |path: &str, is_required, description: &str| Member {
            path: path.to_owned(),
            is_required,
            value: "string".to_owned(),
            description: description.to_owned(),
        };
        let guide = guide(vec![
            member("uuid", true, "a | b\nc"),
            member("label", false, ""),
        ]);
        assert_eq!(
            section(&guide),
            "\n## org.osbuild.mkfs.x\n\nOne line.\nAnother.\n\nNeeds `CAP_MKNOD`.\n\
             \nCan use: devices `device`; mounts.\n\
             \n| option | value | meaning |\n|---|---|---|\n\
             | **`uuid`** | string | a \\| b c |\n| `label` | string |  |\n\
             \n```json\n{\n  \"type\": \"org.osbuild.mkfs.x\"\n}\n```\n"
        );
        assert_eq!(anchor(&guide.name), "orgosbuildmkfsx");
    }

    #[test]
    fn a_stage_without_options_says_so() {
        assert!(section(&guide(Vec::new())).contains("\nTakes no options.\n"));
    }

    #[test]
    fn the_checked_in_pages_are_up_to_date() {
        check(&crate::workspace().unwrap()).unwrap();
    }
}
