//! Starting a stage: its pair of files, its lines in the lists, and its place in the tests for all stages.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::stage_list::{self, PREFIX, file_stem};
use crate::stage_template;

const HOSTILE_TESTS: &str = "hostile_tree_tests/samples.rs";
/// The end of the list of samples: the first one after its start.
const SAMPLES_START: &str = "fn samples() -> Vec<Sample> {";
const SAMPLES_END: &str = "    ]\n}\n";

/// Writes a new stage; returns the files that were written.
pub(crate) fn write(source: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let name = full_name(name)?;
    let stem = file_stem(&name);
    let directory = source.join("stages");
    let (code, meta) = (
        directory.join(format!("{stem}.rs")),
        directory.join(format!("{stem}.meta.json")),
    );
    for file in [&code, &meta] {
        if file.exists() {
            bail!("{} is there already", file.display());
        }
    }
    let tests = source.join(HOSTILE_TESTS);
    let samples = with_sample(&fs_err::read_to_string(&tests)?, &name)?;
    fs_err::write(&code, stage_template::source(&name))?;
    fs_err::write(&meta, stage_template::meta(&name))?;
    fs_err::write(&tests, samples)?;
    stage_list::update(source)?;
    Ok(vec![
        code,
        meta,
        tests,
        source.join("stages.rs"),
        source.join("table.rs"),
    ])
}

/// Completes and checks a name: words of lower-case letters and digits, with dots and dashes between.
fn full_name(name: &str) -> Result<String> {
    let short = name.strip_prefix(PREFIX).unwrap_or(name);
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    if !short.split(['.', '-']).all(is_word) {
        bail!("`{name}` is no name of a stage: words of a-z and 0-9, with dots or dashes between");
    }
    Ok(format!("{PREFIX}{short}"))
}

fn with_sample(tests: &str, name: &str) -> Result<String> {
    let start = tests
        .find(SAMPLES_START)
        .with_context(|| format!("{HOSTILE_TESTS} has no samples"))?;
    let end = tests[start..]
        .find(SAMPLES_END)
        .with_context(|| format!("{HOSTILE_TESTS} has no end of samples"))?;
    let (before, after) = tests.split_at(start + end);
    Ok(format!(
        "{before}{}{after}",
        stage_template::hostile_sample(name)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_and_checked() {
        assert_eq!(full_name("motd").unwrap(), "org.osbuild.motd");
        assert_eq!(
            full_name("org.osbuild.a-b.c4").unwrap(),
            "org.osbuild.a-b.c4"
        );
        for name in ["", "Motd", "a..b", "a b", "../x", "org.osbuild.", "4a"] {
            full_name(name).unwrap_err();
        }
    }

    #[test]
    fn a_stage_gets_its_files_and_its_lines() {
        let directory =
            std::env::temp_dir().join(format!("xtask-new-stage-{}", std::process::id()));
        fs_err::create_dir_all(directory.join("stages")).unwrap();
        fs_err::create_dir_all(directory.join("hostile_tree_tests")).unwrap();
        fs_err::write(directory.join("stages.rs"), "//! Head.\n\n").unwrap();
        fs_err::create_dir_all(directory.join("assemblers")).unwrap();
        fs_err::write(directory.join("assemblers.rs"), "//! Head.\n\n").unwrap();
        let tables = ["STAGES", "ASSEMBLERS"]
            .map(|name| format!("static {name}: &[StageModule] = &[\n];\n"));
        fs_err::write(directory.join("table.rs"), tables.concat()).unwrap();
        let tests = format!("{SAMPLES_START}\n    vec![\n{SAMPLES_END}");
        fs_err::write(directory.join(HOSTILE_TESTS), tests).unwrap();

        write(&directory, "b.two").unwrap();
        write(&directory, "a-one").unwrap();
        let error = write(&directory, "a.one").unwrap_err().to_string();
        assert!(error.ends_with("a_one.rs is there already"), "{error}");

        stage_list::check(&directory).unwrap();
        let read = |file: &str| fs_err::read_to_string(directory.join(file)).unwrap();
        assert_eq!(
            read("stages.rs"),
            "//! Head.\n\npub(crate) mod a_one;\npub(crate) mod b_two;\n"
        );
        assert_eq!(
            read("table.rs"),
            format!(
                "static STAGES: &[StageModule] = &[\n    stages::a_one::STAGE,\n    stages::b_two::STAGE,\n];\n{}",
                tables[1]
            )
        );
        assert!(read(HOSTILE_TESTS).contains(
            "sample(\"org.osbuild.b.two\", json!({\"text\": \"x\"}), &[\"etc/b_two\"]),"
        ));
        let meta: serde_json::Value =
            serde_json::from_str(&read("stages/b_two.meta.json")).unwrap();
        assert_eq!(meta["summary"], "Write `/etc/b_two`");

        fs_err::remove_file(directory.join("stages/a_one.meta.json")).unwrap();
        assert!(
            stage_list::check(&directory)
                .unwrap_err()
                .to_string()
                .ends_with("a_one.meta.json is missing")
        );
        fs_err::remove_dir_all(directory).unwrap();
    }
}
