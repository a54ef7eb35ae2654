//! Which modules are built in, as the sources of the two crates that hold them say.
//!
//! Read from the files and not through the crates, which take minutes to compile.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use osbuild_manifest::module::{ModuleInfo, ModuleKind};

use crate::stage_list::{self, ASSEMBLERS};

const HOST_MODULES: &str = "crates/osbuild-host-modules/src";
const HOST_TABLE_START: &str = "pub static HOST_MODULES";
const STAGES: &str = "crates/osbuild-stages/src";

/// The kinds that have a page, in the order in which pages are listed.
pub(crate) const KINDS: [ModuleKind; 6] = [
    ModuleKind::Stage,
    ModuleKind::Assembler,
    ModuleKind::Source,
    ModuleKind::Input,
    ModuleKind::Device,
    ModuleKind::Mount,
];

fn kind_of_variant(name: &str) -> Option<ModuleKind> {
    KINDS.into_iter().find(|kind| format!("{kind:?}") == name)
}

/// Reads all of them, sorted by kind and name.
pub(crate) fn read(workspace: &Path) -> Result<Vec<ModuleInfo>> {
    let mut modules = Vec::new();
    let stages = workspace.join(STAGES);
    for (kind, list) in [
        (ModuleKind::Stage, stage_list::STAGES),
        (ModuleKind::Assembler, ASSEMBLERS),
    ] {
        for stage in stage_list::read(&stages, list)? {
            let file = stages.join(list.folder).join(stage.stem + ".meta.json");
            modules.push(module(kind, &stage.name, &file)?);
        }
    }
    let host = workspace.join(HOST_MODULES);
    for (kind, name, file) in rows(&fs_err::read_to_string(host.join("table.rs"))?)? {
        modules.push(module(kind, &name, &host.join(file))?);
    }
    modules.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    Ok(modules)
}

fn module(kind: ModuleKind, name: &str, file: &Path) -> Result<ModuleInfo> {
    ModuleInfo::from_meta_json(kind, name, &fs_err::read_to_string(file)?)
        .with_context(|| format!("reading {}", file.display()))
}

/// Takes kind, name and description file of every row of the table of host modules.
fn rows(table: &str) -> Result<Vec<(ModuleKind, String, PathBuf)>> {
    let start = table
        .find(HOST_TABLE_START)
        .context("the table of host modules is not where it was")?;
    let end = table[start..]
        .find("\n];")
        .context("the table of host modules has no end")?;
    let rows: Vec<_> = table[start..start + end]
        .split("HostModule {")
        .skip(1)
        .map(row)
        .collect::<Result<_>>()?;
    ensure!(!rows.is_empty(), "the table of host modules has no rows");
    Ok(rows)
}

fn row(text: &str) -> Result<(ModuleKind, String, PathBuf)> {
    let value = |before: &str, after: &str| {
        text.split_once(before)
            .and_then(|(_, rest)| rest.split_once(after))
            .map(|(value, _)| value.to_owned())
            .with_context(|| format!("a row of the table of host modules lacks `{before}`"))
    };
    let kind = value("kind: ModuleKind::", ",")?;
    Ok((
        kind_of_variant(&kind).with_context(|| format!("`{kind}` has no page"))?,
        value("name: \"", "\"")?,
        value("include_str!(\"", "\")")?.into(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_from_the_source_of_the_table() {
        let table = "struct HostModule {\n    kind: ModuleKind,\n}\n\
            pub static HOST_MODULES: &[HostModule] = &[\n    HostModule {\n        \
            kind: ModuleKind::Mount,\n        name: \"org.osbuild.fat\",\n        \
            meta: include_str!(\"mounts/fat.meta.json\"),\n    },\n];\n";
        assert_eq!(
            rows(table).unwrap(),
            [(
                ModuleKind::Mount,
                "org.osbuild.fat".to_owned(),
                PathBuf::from("mounts/fat.meta.json")
            )]
        );
        let error = rows(&table.replace("Kind::Mount", "Kind::Runner")).unwrap_err();
        assert_eq!(error.to_string(), "`Runner` has no page");
        rows(&table.replace("name:", "nom:")).unwrap_err();
    }
}
