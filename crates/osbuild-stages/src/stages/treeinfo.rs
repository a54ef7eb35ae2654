//! Writes a `.treeinfo` file.

use std::path::Path;

use anyhow::{Context, Result, bail};
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::shared::hexadecimal::hexadecimal;
use crate::shared::ini::{Ini, network_manager_str};

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.treeinfo",
    include_str!("treeinfo.meta.json"),
    run,
);

const FILE_MODE: u32 = 0o600;
const FORMAT_VERSION: &str = "1.0";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    path: String,
    /// The order of sections and options is kept.
    treeinfo: Map<String, Value>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { path, mut treeinfo } = context.options()?;
    treeinfo.insert("header".to_owned(), json!({"version": FORMAT_VERSION}));
    let sums = checksums(context, treeinfo.get("checksums"))?;
    if !sums.is_empty() {
        treeinfo.insert("checksums".to_owned(), Value::Object(sums));
    }
    let text = text(&treeinfo)?;
    let tree = context.tree_path()?;
    if let Some(directory) = Path::new(&path).parent() {
        tree.create_dir_all(directory)?;
    }
    tree.write(&path, text)?;
    tree.chmod(&path, FILE_MODE)
}

fn checksums(context: &StageContext, files: Option<&Value>) -> Result<Map<String, Value>> {
    let tree = context.tree_path()?;
    let files = files.and_then(Value::as_array).into_iter().flatten();
    files
        .map(|file| {
            let file = file.as_str().context("a file of `checksums` is no text")?;
            let sum = Sha256::digest(tree.read(file)?);
            Ok((
                file.to_owned(),
                json!(format!("sha256:{}", hexadecimal(&sum))),
            ))
        })
        .collect()
}

fn text(treeinfo: &Map<String, Value>) -> Result<String> {
    let mut ini = Ini::default();
    for (name, section) in treeinfo {
        match section {
            Value::Object(options) => add_section(&mut ini, name, options),
            // Sections there may be several of: each has a name of its own.
            Value::Array(sections) => sections
                .iter()
                .try_for_each(|section| add_named_section(&mut ini, name, section))?,
            _ => bail!("Invalid section type: `{name}` is neither an object nor a list"),
        }
    }
    Ok(ini.into_text())
}

fn add_section(ini: &mut Ini, name: &str, options: &Map<String, Value>) {
    let lines = options.iter();
    ini.section(
        name,
        lines.map(|(option, value)| (option.as_str(), network_manager_str(value))),
    );
}

fn add_named_section(ini: &mut Ini, kind: &str, section: &Value) -> Result<()> {
    let options = section.get("config").and_then(Value::as_object);
    let options = options.with_context(|| format!("a section `{kind}` has no `config`"))?;
    match section
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
    {
        "" => add_section(ini, kind, options),
        name => add_section(ini, &format!("{kind}-{name}"), options),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;

    #[test]
    fn a_section_has_options() {
        let options = json!({"path": "/.treeinfo", "treeinfo": {"x": 1}});
        let ran = StageTest::new(&STAGE, options).run();
        assert_eq!(
            ran.error(),
            "ValueError: Invalid section type: `x` is neither an object nor a list"
        );
        assert_eq!(ran.tree, "");
    }

    #[test]
    fn a_file_with_a_checksum_must_be_there() {
        let options = json!({"path": "/.treeinfo", "treeinfo": {"checksums": ["x"]}});
        let ran = StageTest::new(&STAGE, options).run();
        assert_eq!(ran.error().split(':').next(), Some("FileNotFoundError"));
    }
}
