//! The list of modules, as a table or as JSON.

use osbuild_engine::module_catalog::{ModuleCatalog, ModuleCode};
use osbuild_manifest::module::{ModuleIndex as _, ModuleKind};
use serde_json::json;

/// In the order that a manifest is worked through.
pub(super) const KINDS: [ModuleKind; 6] = [
    ModuleKind::Source,
    ModuleKind::Input,
    ModuleKind::Device,
    ModuleKind::Mount,
    ModuleKind::Stage,
    ModuleKind::Assembler,
];

struct Row {
    name: String,
    kind: ModuleKind,
    summary: String,
    is_built_in: bool,
}

/// Lists every module.
pub(super) fn text(catalog: &ModuleCatalog, as_json: bool) -> String {
    let rows = rows(catalog);
    if as_json { json(&rows) } else { table(&rows) }
}

fn rows(catalog: &ModuleCatalog) -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in KINDS {
        for name in catalog.names(kind) {
            // What has broken metadata is no module.
            if let Some(info) = catalog.module(kind, &name) {
                rows.push(Row {
                    is_built_in: catalog.code(kind, &name) == Some(ModuleCode::BuiltIn),
                    summary: info
                        .summary
                        .split_whitespace()
                        .collect::<Vec<_>>()
                        .join(" "),
                    name,
                    kind,
                });
            }
        }
    }
    rows
}

fn json(rows: &[Row]) -> String {
    let list: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "name": row.name,
                "kind": row.kind.noun(),
                "summary": row.summary,
                "built-in": row.is_built_in,
            })
        })
        .collect();
    format!("{:#}\n", json!(list))
}

fn table(rows: &[Row]) -> String {
    let name_width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let kind_width = rows
        .iter()
        .map(|row| row.kind.noun().len())
        .max()
        .unwrap_or(0);
    let line = |row: &Row| {
        let (kind, name) = (row.kind.noun(), &row.name);
        let line = format!("{kind:kind_width$}  {name:name_width$}  {}", row.summary);
        line.trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_has_a_line_with_its_kind_and_summary() {
        let text = text(&ModuleCatalog::built_in(), false);
        let line = text
            .lines()
            .find(|line| line.contains(" org.osbuild.hostname "));
        let words: Vec<_> = line.unwrap().split_whitespace().take(5).collect();
        assert_eq!(
            words,
            ["stage", "org.osbuild.hostname", "Set", "the", "name"]
        );
        assert!(text.lines().all(|line| line.split_whitespace().count() > 2));
    }

    #[test]
    fn the_json_list_has_the_same_modules() {
        let catalog = ModuleCatalog::built_in();
        let list: Vec<serde_json::Value> = serde_json::from_str(&text(&catalog, true)).unwrap();
        assert_eq!(list.len(), text(&catalog, false).lines().count());
        assert_eq!(
            list[0],
            json!({
                "name": "org.osbuild.curl",
                "kind": "source",
                "summary": list[0]["summary"],
                "built-in": true
            })
        );
    }
}
