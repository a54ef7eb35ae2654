//! Files that only their owner may read.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use osbuild_stage_api::{StageContext, tree_root::FILE_MODE};
use rustix::fs::OFlags;

/// What `NetworkManager` insists on for files that may hold passwords.
const SECRET_MODE: u32 = 0o600;

/// Writes a file with mode 0600, and makes the directories above it.
pub(crate) fn write(context: &StageContext, path: &Path, content: &str) -> Result<()> {
    let tree = context.tree_path()?;
    if let Some(directory) = path.parent() {
        tree.create_dir_all(directory)?;
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let mut file = tree.open_file(path, flags, FILE_MODE)?;
    // Before anything secret is in it.
    file.set_permissions(PermissionsExt::from_mode(SECRET_MODE))
        .and_then(|()| file.write_all(content.as_bytes()))
        .with_context(|| format!("writing {}", path.display()))
}
