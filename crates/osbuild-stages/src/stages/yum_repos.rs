//! Writes a file of package repositories.

use std::io::Write;

use anyhow::{Context, Result, bail};
use osbuild_stage_api::{StageContext, StageModule};
use rustix::fs::OFlags;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::ini::{Ini, python_str};

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.yum.repos",
    include_str!("yum_repos.meta.json"),
    run,
);

const DIRECTORY: &str = "/etc/yum.repos.d";
const FILE_MODE: u32 = 0o666;
/// What files of distributions begin with, in this order.
const FIRST: [&str; 8] = [
    "name",
    "baseurl",
    "metalink",
    "mirrorlist",
    "enabled",
    "gpgcheck",
    "repo_gpgcheck",
    "gpgkey",
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    /// The order of the options is kept.
    repos: Vec<Map<String, Value>>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { filename, repos } = context.options()?;
    let tree = context.tree_path()?;
    tree.create_dir_all(DIRECTORY)?;
    let text = text(&repos)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let path = format!("{DIRECTORY}/{filename}");
    let mut file = tree.open_file(&path, flags, FILE_MODE)?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("writing {path}"))
}

fn text(repos: &[Map<String, Value>]) -> Result<String> {
    let mut ini = Ini::default();
    let mut ids = Vec::new();
    for repo in repos {
        let id = repo.get("id").and_then(Value::as_str);
        let id = id.context("a repository has no `id`")?;
        if ids.contains(&id) {
            bail!("there are two repositories `{id}`");
        }
        ids.push(id);
        let first = FIRST
            .iter()
            .filter_map(|name| Some((*name, repo.get(*name)?)));
        let rest = repo
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .filter(|(name, _)| *name != "id" && !FIRST.contains(name));
        ini.section(
            id,
            first
                .chain(rest)
                .map(|(name, value)| (name, value_text(value))),
        );
    }
    Ok(ini.into_text())
}

fn value_text(value: &Value) -> String {
    match value {
        Value::Bool(value) => u8::from(*value).to_string(),
        Value::Array(items) => items.iter().map(python_str).collect::<Vec<_>>().join(" "),
        value => python_str(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn a_file_that_is_there_is_left_alone() {
        let options =
            json!({"filename": "x.repo", "repos": [{"id": "x", "baseurl": ["file:///x"]}]});
        let test = StageTest::new(&STAGE, options).file("etc/yum.repos.d/x.repo", "mine");
        let ran = test.run();
        assert_eq!(ran.error().split(':').next(), Some("FileExistsError"));
        assert_eq!(
            ran.tree.lines().last(),
            Some("etc/yum.repos.d/x.repo 0644 \"mine\"")
        );
    }

    #[test]
    fn a_repository_is_there_once() {
        let repos = json!([{"id": "x", "baseurl": ["a"]}, {"id": "x", "baseurl": ["b"]}]);
        let options = json!({"filename": "x.repo", "repos": repos});
        assert_eq!(
            StageTest::new(&STAGE, options).run().error(),
            "ValueError: there are two repositories `x`"
        );
    }
}
