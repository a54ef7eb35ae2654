//! Settings that `systemd-firstboot` of the build root checks and writes.

use anyhow::Result;
use osbuild_stage_api::StageContext;

/// Has `systemd-firstboot` write a setting to a file of the tree, which it would leave alone if it were there:
/// packages bring files with defaults.
pub(crate) fn replace(context: &StageContext, file: &str, setting: &str) -> Result<()> {
    if context.tree_path()?.remove_file(file)? {
        context.log(format_args!("{file} already exists. Replacing."));
    }
    context
        .command("systemd-firstboot")
        .arg(format!("--root={}", context.tree().display()))
        .arg(setting)
        .run()
}
