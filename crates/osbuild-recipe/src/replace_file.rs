//! Writes files as a whole.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Result;

/// Everybody may read it.
const MODE: u32 = 0o644;

/// Writes a file so that a reader sees the old content or the new, never a part.
///
/// # Errors
/// The directory can not be written to.
pub fn replace_file(path: &Path, text: &str) -> Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::Builder::new()
        .permissions(PermissionsExt::from_mode(MODE))
        .tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}
