//! Where an ostree deployment of a tree is.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use osbuild_stage_api::{StageContext, StageError};
use serde::Deserialize;
use serde_json::Number;

/// Which deployment a stage is to work on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deployment {
    #[serde(default)]
    default: bool,
    osname: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    serial: Option<Number>,
}

/// Returns the deployment's directory, below the tree.
pub(crate) fn directory(context: &StageContext, deployment: &Deployment) -> Result<PathBuf> {
    if deployment.default {
        return only_deployment(context);
    }
    let missing = |name| StageError::new("KeyError", format!("'{name}'"));
    let osname = deployment
        .osname
        .as_deref()
        .ok_or_else(|| missing("osname"))?;
    let reference = deployment
        .reference
        .as_deref()
        .ok_or_else(|| missing("ref"))?;
    let serial = deployment
        .serial
        .as_ref()
        .map_or("0".to_owned(), Number::to_string);
    let repository = context.tree_path()?.real_path("/ostree/repo")?;
    let commit = context
        .command("ostree")
        .arg("rev-parse")
        .arg(reference)
        .arg(format!("--repo={}", repository.display()))
        .read()?;
    let commit = String::from_utf8(commit).context("reading what ostree printed")?;
    Ok(format!(
        "/ostree/deploy/{osname}/deploy/{}.{serial}",
        commit.trim_end()
    )
    .into())
}

/// Finds the one deployment with the serial 0.
fn only_deployment(context: &StageContext) -> Result<PathBuf> {
    let tree = context.tree_path()?;
    let mut found = Vec::new();
    let top = PathBuf::from("/ostree/deploy");
    let stateroots = if tree.is_dir(&top)? {
        tree.read_dir(&top)?
    } else {
        Vec::new()
    };
    for stateroot in stateroots {
        let directory = top.join(stateroot).join("deploy");
        if !tree.is_dir(&directory)? {
            continue;
        }
        let names = tree.read_dir(&directory)?.into_iter();
        let names = names.filter(|name| {
            name.to_str()
                .is_some_and(|name| !name.starts_with('.') && name.ends_with(".0"))
        });
        found.extend(names.map(|name| directory.join(name)));
    }
    match found.as_slice() {
        [] => bail!("Could not find deployment"),
        [only] => Ok(only.clone()),
        found => bail!("More than one deployment found: {found:?}"),
    }
}
