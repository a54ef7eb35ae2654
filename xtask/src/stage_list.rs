//! The checked-in lists of stages: `stages.rs` has their modules, `table.rs` their rows.
//!
//! Both are a fixed head and a sorted list of lines, so they can be written anew from the files in `stages/`.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// What every name in manifests starts with.
pub(crate) const PREFIX: &str = "org.osbuild.";
const MODULES: &str = "stages.rs";
const TABLE: &str = "table.rs";
/// Ends the head of the table.
const TABLE_START: &str = "= &[\n";

/// A stage on disk.
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

/// Reads which stages there are; each says its own name.
pub(crate) fn read(source: &Path) -> Result<Vec<Stage>> {
    let mut stages = Vec::new();
    for entry in fs_err::read_dir(source.join("stages"))? {
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
                    "{} holds the stage `{name}`, which belongs in {}.rs",
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

/// The first text that is a stage's name.
fn name_in(text: &str) -> Option<String> {
    let start = text.find(&format!("\"{PREFIX}"))? + 1;
    let length = text[start..].find('"')?;
    Some(text[start..start + length].to_owned())
}

/// Writes both lists anew.
pub(crate) fn update(source: &Path) -> Result<()> {
    for (file, text) in lists(source)? {
        fs_err::write(source.join(file), text)?;
    }
    Ok(())
}

/// Fails if a list is not what the files make it.
pub(crate) fn check(source: &Path) -> Result<()> {
    for (file, expected) in lists(source)? {
        let text = fs_err::read_to_string(source.join(file))?;
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
                "{file} is not what stages/ makes it: missing {missing:?}, surplus {surplus:?}, or out of order"
            );
        }
    }
    for stage in read(source)? {
        let meta = source
            .join("stages")
            .join(format!("{}.meta.json", stage.stem));
        if !meta.is_file() {
            bail!("{} is missing", meta.display());
        }
    }
    Ok(())
}

fn lists(source: &Path) -> Result<[(&'static str, String); 2]> {
    let stages = read(source)?;
    let modules = fs_err::read_to_string(source.join(MODULES))?;
    let table = fs_err::read_to_string(source.join(TABLE))?;
    Ok([
        (MODULES, modules_text(&modules, &stages)),
        (TABLE, table_text(&table, &stages)?),
    ])
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

fn table_text(old: &str, stages: &[Stage]) -> Result<String> {
    let start = old.find(TABLE_START).context("table.rs has no table")? + TABLE_START.len();
    let rows = stages
        .iter()
        .map(|stage| format!("    stages::{}::STAGE,\n", stage.stem));
    Ok(format!("{}{}];\n", &old[..start], rows.collect::<String>()))
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
        let table = table_text("static X: &[Y] = &[\n    old,\n];\n", &stages[1..]).unwrap();
        assert_eq!(
            table,
            "static X: &[Y] = &[\n    stages::a_b::STAGE,\n    stages::aa::STAGE,\n];\n"
        );
    }

    #[test]
    fn the_checked_in_lists_are_up_to_date() {
        check(&crate::stages_source(&crate::workspace().unwrap())).unwrap();
    }
}
