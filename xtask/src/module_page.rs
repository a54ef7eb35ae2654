//! `docs/modules.md`: every built-in module with its options, from the descriptions that the program itself uses.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use crate::module_list::{self, Kind, Module};
use crate::schema_members::{self, Member};

const PAGE: &str = "docs/modules.md";
const HEAD: &str = "\
# Modules

<!-- Written by `cargo xtask generate` from the *.meta.json files; edit those. -->

Every module that is built into the program. Where upstream osbuild has a module of the same name, it takes the same
options; [differences.md](differences.md) says where it behaves differently, and which modules upstream does not have.

A member in bold has to be there. `a.b` is the member `b` of `a`, `a[].b` that of each item of the list `a`, and `a.*.b`
that of each member of `a`, whatever its name.
";

/// Writes the page; returns where it is.
pub(crate) fn write(workspace: &Path) -> Result<&'static str> {
    fs_err::write(workspace.join(PAGE), text(workspace)?)?;
    Ok(PAGE)
}

/// Fails if the page is not what the modules make it.
pub(crate) fn check(workspace: &Path) -> Result<()> {
    if fs_err::read_to_string(workspace.join(PAGE))? != text(workspace)? {
        bail!("{PAGE} is out of date; run `cargo xtask generate`");
    }
    Ok(())
}

fn text(workspace: &Path) -> Result<String> {
    let modules = module_list::read(workspace)?;
    let mut page = HEAD.to_owned();
    for kind in Kind::ALL {
        page += &format!("\n## {}\n\n{}\n", title(kind), introduction(kind));
        let ours: Vec<_> = modules
            .iter()
            .filter(|module| module.kind == kind)
            .collect();
        page += "\n| name | does |\n|---|---|\n";
        for module in &ours {
            let summary = one_line(string(&module.meta, "summary")?);
            page += &format!(
                "| [`{0}`](#{1}) | {summary} |\n",
                module.name,
                anchor(module)
            );
        }
        for module in ours {
            page += &section(module).with_context(|| format!("describing {}", module.name))?;
        }
    }
    Ok(page)
}

fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Stage => "Stages",
        Kind::Assembler => "Assemblers",
        Kind::Source => "Sources",
        Kind::Input => "Inputs",
        Kind::Device => "Devices",
        Kind::Mount => "Mounts",
    }
}

fn introduction(kind: Kind) -> &'static str {
    match kind {
        Kind::Stage => "A step of a pipeline. Runs in the sandbox, on the tree of the pipeline.",
        Kind::Assembler => {
            "Makes an image of the tree: the last step of a manifest of format 1. Runs in the sandbox."
        }
        Kind::Source => "Brings files to the machine before anything is built. Runs on the host.",
        Kind::Input => "Hands files or trees to a stage. Runs on the host.",
        Kind::Device => "Opens a device for a stage. Runs on the host.",
        Kind::Mount => "Mounts a device for a stage. Runs on the host.",
    }
}

/// The headings carry the kind, since a stage and a mount may have one name.
fn heading(module: &Module) -> String {
    format!("{:?} {}", module.kind, module.name).to_lowercase()
}

/// What a heading is linked by: spaces become dashes, dots go.
fn anchor(module: &Module) -> String {
    heading(module).replace(' ', "-").replace('.', "")
}

fn section(module: &Module) -> Result<String> {
    let meta = &module.meta;
    let description = meta["description"]
        .as_array()
        .context("there is no description")?
        .iter()
        .map(|line| line.as_str().context("the description is no list of texts"))
        .collect::<Result<Vec<_>>>()?;
    let mut text = format!("\n### {}\n\n{}\n", heading(module), description.join("\n"));
    if let Some(capabilities) = meta.get("capabilities") {
        text += &format!("\nNeeds {}.\n", names(capabilities)?);
    }
    let schema = meta.get("schema_2").or_else(|| meta.get("schema"));
    let schema = schema.context("there is no schema")?;
    let mut options = schema;
    if let (Kind::Stage, Some(stage)) = (module.kind, meta.get("schema_2")) {
        options = &stage["options"];
        text += &services(stage);
    }
    text += &match schema_members::list(options, schema)?.as_slice() {
        [] => format!("\nTakes no {}.\n", what_it_takes(module.kind)),
        members => table(what_it_takes(module.kind), members),
    };
    Ok(text)
}

/// What the members of a module are called in a manifest.
fn what_it_takes(kind: Kind) -> &'static str {
    match kind {
        Kind::Stage | Kind::Assembler | Kind::Device => "options",
        Kind::Source | Kind::Input | Kind::Mount => "members",
    }
}

/// Tells which inputs, devices and mounts a stage knows.
fn services(stage: &Value) -> String {
    let uses: Vec<_> = ["inputs", "devices", "mounts"]
        .into_iter()
        .filter_map(|kind| {
            let schema = stage.get(kind)?;
            let known = schema.get("properties").and_then(Value::as_object);
            let known: Vec<_> = known
                .into_iter()
                .flat_map(Map::keys)
                .map(|name| format!("`{name}`"))
                .collect();
            Some(if known.is_empty() {
                kind.to_owned()
            } else {
                format!("{kind} {}", known.join(", "))
            })
        })
        .collect();
    if uses.is_empty() {
        String::new()
    } else {
        format!("\nCan use: {}.\n", uses.join("; "))
    }
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
        let value = one_line(&member.value);
        let meaning = one_line(&member.description);
        text += &format!("| {name} | {value} | {meaning} |\n");
    }
    text
}

/// Fits a text into a cell of a table.
fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}

fn string<'a>(meta: &'a Value, key: &str) -> Result<&'a str> {
    meta[key]
        .as_str()
        .with_context(|| format!("there is no {key}"))
}

fn names(list: &Value) -> Result<String> {
    let names: Vec<String> = serde_json::from_value(list.clone())?;
    Ok(format!("`{}`", names.join("`, `")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stage_is_described_from_its_meta_json() {
        let module = Module {
            kind: Kind::Stage,
            name: "org.osbuild.mkfs.x".to_owned(),
            meta: json!({
                "summary": "Make x",
                "description": ["One line.", "Another."],
                "capabilities": ["CAP_MKNOD"],
                "schema_2": {
                    "devices": {"required": ["device"], "properties": {"device": {"type": "object"}}},
                    "mounts": {"type": "array"},
                    "options": {
                        "required": ["uuid"],
                        "properties": {
                            "uuid": {"type": "string", "description": "a | b\nc"},
                            "label": {"type": "string"}
                        }
                    }
                }
            }),
        };
        assert_eq!(
            section(&module).unwrap(),
            "\n### stage org.osbuild.mkfs.x\n\nOne line.\nAnother.\n\nNeeds `CAP_MKNOD`.\n\
             \nCan use: devices `device`; mounts.\n\
             \n| option | value | meaning |\n|---|---|---|\n\
             | **`uuid`** | string | a \\| b c |\n| `label` | string |  |\n"
        );
        assert_eq!(anchor(&module), "stage-orgosbuildmkfsx");
    }

    #[test]
    fn a_stage_without_options_says_so() {
        let module = Module {
            kind: Kind::Stage,
            name: "org.osbuild.noop".to_owned(),
            meta: json!({"summary": "", "description": ["Does nothing."], "schema": {}}),
        };
        assert_eq!(
            section(&module).unwrap(),
            "\n### stage org.osbuild.noop\n\nDoes nothing.\n\nTakes no options.\n"
        );
    }

    #[test]
    fn the_checked_in_page_is_up_to_date() {
        check(&crate::workspace().unwrap()).unwrap();
    }
}
