//! Keeps dracut from making an initramfs for each kernel that is installed: a later stage makes it, once.

use anyhow::Result;
use osbuild_stage_api::TreeRoot;

const DIRECTORY: &str = "/etc/kernel/install.d";
const PLUGINS: [&str; 2] = ["50-dracut.install", "51-dracut-rescue.install"];

/// Masks dracut's plugins of `kernel-install`.
pub(super) fn mask(tree: &TreeRoot) -> Result<()> {
    tree.create_dir_all(DIRECTORY)?;
    for plugin in PLUGINS {
        tree.symlink("/dev/null", format!("{DIRECTORY}/{plugin}"))?;
    }
    Ok(())
}

/// Puts them back in order. The directory stays, whoever owns it: upstream looks for it outside the tree.
pub(super) fn unmask(tree: &TreeRoot) -> Result<()> {
    for plugin in PLUGINS {
        tree.remove_file(format!("{DIRECTORY}/{plugin}"))?;
    }
    Ok(())
}
