//! The checked-in lists of stages and assemblers: `stages.rs` and `assemblers.rs` have their modules, `table.rs` the rows
//! of both.
//!
//! All are fixed lines and sorted ones, so they can be written anew from the files in `stages/` and `assemblers/`.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// What every name in manifests starts with.
pub(crate) const PREFIX: &str = "org.osbuild.";
const TABLE: &str = "table.rs";
const TABLE_END: &str = "];\n";

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct List {
    /// The folder of the pairs of files; the list of modules is the file beside it.
    pub(crate) folder: &'static str,
    /// The name of the table.
    table: &'static str,
    /// The name of the constant in each file.
    constant: &'static str,
}

pub(crate) const STAGES: List = List {
    folder: "stages",
    table: "STAGES",
    constant: "STAGE",
};
pub(crate) const ASSEMBLERS: List = List {
    folder: "assemblers",
    table: "ASSEMBLERS",
    constant: "ASSEMBLER",
};

impl List {
    fn modules(self) -> String {
        format!("{}.rs", self.folder)
    }

    /// Ends what comes before the rows.
    fn table_start(self) -> String {
        format!("static {}: &[StageModule] = &[\n", self.table)
    }
}

/// A stage or assembler on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stage {
    pub(crate) name: String,
    pub(crate) stem: String,
}

/// Turns a name into that of its files: `org.osbuild.mkfs.ext4` is in `mkfs_ext4.rs`.
pub(crate) fn file_stem(name: &str) -> String {
    name.strip_prefix(PREFIX)
        .unwrap_or(name)
        .replace(['.', '-'], "_")
}

/// Reads which stages or assemblers there are; each says its own name.
pub(crate) fn read(source: &Path, list: List) -> Result<Vec<Stage>> {
    let mut stages = Vec::new();
    for entry in fs_err::read_dir(source.join(list.folder))? {
        let file = entry?.path();
        let stem = file
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".rs"));
        if let Some(stem) = stem {
            let text = fs_err::read_to_string(&file)?;
            let name = name_in(&text)
                .with_context(|| format!("{} does not say its name", file.display()))?;
            if file_stem(&name) != stem {
                bail!(
                    "{} holds `{name}`, which belongs in {}.rs",
                    file.display(),
                    file_stem(&name)
                );
            }
            stages.push(Stage {
                name,
                stem: stem.to_owned(),
            });
        }
    }
    stages.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(stages)
}

/// The first text that is a module's name.
fn name_in(text: &str) -> Option<String> {
    let start = text.find(&format!("\"{PREFIX}"))? + 1;
    let length = text[start..].find('"')?;
    Some(text[start..start + length].to_owned())
}

/// Writes the lists anew.
pub(crate) fn update(source: &Path) -> Result<()> {
    for (file, text) in lists(source)? {
        fs_err::write(source.join(file), text)?;
    }
    Ok(())
}

/// Fails if a list is not what the files make it.
pub(crate) fn check(source: &Path) -> Result<()> {
    for (file, expected) in lists(source)? {
        let text = fs_err::read_to_string(source.join(&file))?;
        let missing: Vec<_> = expected
            .lines()
            .filter(|line| !text.lines().any(|there| there == *line))
            .collect();
        let surplus: Vec<_> = text
            .lines()
            .filter(|line| !expected.lines().any(|there| there == *line))
            .collect();
        if text != expected {
            bail!(
                "{file} is not what the files beside it make it: missing {missing:?}, surplus {surplus:?}, or out of order"
            );
        }
    }
    for list in [STAGES, ASSEMBLERS] {
        for stage in read(source, list)? {
            let meta = source
                .join(list.folder)
                .join(format!("{}.meta.json", stage.stem));
            if !meta.is_file() {
                bail!("{} is missing", meta.display());
            }
        }
    }
    Ok(())
}

fn lists(source: &Path) -> Result<Vec<(String, String)>> {
    let mut table = fs_err::read_to_string(source.join(TABLE))?;
    let mut lists = Vec::new();
    for list in [STAGES, ASSEMBLERS] {
        let stages = read(source, list)?;
        let modules = fs_err::read_to_string(source.join(list.modules()))?;
        lists.push((list.modules(), modules_text(&modules, &stages)));
        table = table_text(&table, list, &stages)?;
    }
    lists.push((TABLE.to_owned(), table));
    Ok(lists)
}

fn modules_text(old: &str, stages: &[Stage]) -> String {
    let head: String = old
        .split_inclusive('\n')
        .take_while(|line| !line.contains("mod "))
        .collect();
    // As rustfmt sorts them.
    let mut stems: Vec<_> = stages.iter().map(|stage| stage.stem.as_str()).collect();
    stems.sort_unstable();
    stems
        .iter()
        .fold(head, |text, stem| text + "pub(crate) mod " + stem + ";\n")
}

/// Writes the rows of one table anew, and leaves all else.
fn table_text(old: &str, list: List, stages: &[Stage]) -> Result<String> {
    let missing = || format!("{TABLE} has no table {}", list.table);
    let (head, rest) = old.split_once(&list.table_start()).with_context(missing)?;
    let (_, tail) = rest.split_once(TABLE_END).with_context(missing)?;
    let rows = stages
        .iter()
        .map(|stage| format!("    {}::{}::{},\n", list.folder, stage.stem, list.constant));
    Ok(format!(
        "{head}{}{}{TABLE_END}{tail}",
        list.table_start(),
        rows.collect::<String>()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str) -> Stage {
        Stage {
            name: format!("{PREFIX}{name}"),
            stem: file_stem(name),
        }
    }

    #[test]
    fn a_name_becomes_a_file_name() {
        assert_eq!(
            file_stem("org.osbuild.systemd-journald"),
            "systemd_journald"
        );
        assert_eq!(file_stem("mkfs.ext4"), "mkfs_ext4");
    }

    #[test]
    fn lists_are_written_in_their_own_orders() {
        let stages = [stage("a-b"), stage("a.b"), stage("aa")];
        let modules = modules_text("//! Head.\n\npub(crate) mod old;\n", &stages);
        assert_eq!(
            modules,
            "//! Head.\n\npub(crate) mod a_b;\npub(crate) mod a_b;\npub(crate) mod aa;\n"
        );
        let other = "static ASSEMBLERS: &[StageModule] = &[\n    kept,\n];\n";
        let old = format!("static STAGES: &[StageModule] = &[\n    old,\n];\n{other}");
        let table = table_text(&old, STAGES, &stages[1..]).unwrap();
        assert_eq!(
            table,
            format!(
                "static STAGES: &[StageModule] = &[\n    stages::a_b::STAGE,\n    stages::aa::STAGE,\n];\n{other}"
            )
        );
        table_text(other, STAGES, &stages).unwrap_err();
    }

    #[test]
    fn the_checked_in_lists_are_up_to_date() {
        check(&crate::stages_source(&crate::workspace().unwrap())).unwrap();
    }
}
