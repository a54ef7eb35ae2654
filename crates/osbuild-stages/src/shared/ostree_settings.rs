//! Settings of an `OSTree` repository.

use std::path::{Path, PathBuf};

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageError};
use rustix::fs::FileType;

/// Has `ostree` set options of the repository at a place of the tree; those without a value stay as they are.
pub(crate) fn apply(
    context: &StageContext,
    repo: &str,
    settings: impl IntoIterator<Item = (&'static str, Option<String>)>,
) -> Result<()> {
    for (name, value) in settings {
        let Some(value) = value else {
            continue;
        };
        context
            .command("ostree")
            .args(["config", "set", name, &value])
            .arg(format!("--repo={}", repository(context, repo)?.display()))
            .run()?;
    }
    Ok(())
}

/// Finds a repository for `ostree` to change, whose settings are a file of the tree: it would follow a link out of it.
pub(crate) fn repository(context: &StageContext, repo: &str) -> Result<PathBuf> {
    let tree = context.tree_path()?;
    let path = tree.real_path(repo)?;
    let settings = Path::new(repo).join("config");
    let is_link = tree.has_entry(&settings)?
        && FileType::from_raw_mode(tree.lstat(&settings)?.st_mode).is_symlink();
    if is_link {
        let text = format!("{} is a link", settings.display());
        return Err(StageError::new("ValueError", text).into());
    }
    Ok(path)
}
