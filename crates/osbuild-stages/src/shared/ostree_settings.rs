//! Settings of an `OSTree` repository.

use anyhow::Result;
use osbuild_stage_api::StageContext;

/// Has `ostree` set options of the repository at a place of the tree; those without a value stay as they are.
pub(crate) fn apply(
    context: &StageContext,
    repo: &str,
    settings: impl IntoIterator<Item = (&'static str, Option<String>)>,
) -> Result<()> {
    let tree = context.tree_path()?;
    for (name, value) in settings {
        let Some(value) = value else {
            continue;
        };
        context
            .command("ostree")
            .args(["config", "set", name, &value])
            .arg(format!("--repo={}", tree.real_path(repo)?.display()))
            .run()?;
    }
    Ok(())
}
