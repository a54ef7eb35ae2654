//! Downloaded indices on disk, named by their SHA-256, so that what is known need not be fetched.
//!
//! ```text
//! CACHE/
//!   0a1b…ff        the content whose SHA-256 is 0a1b…ff
//! ```

use std::{io::Write as _, path::Path};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use super::release::Listed;

/// Reads a file of the cache; a damaged one counts as missing and is replaced by the next store.
pub(crate) fn read(cache: &Path, listed: &Listed) -> Result<Option<Vec<u8>>> {
    let path = cache.join(&listed.sha256);
    match fs_err::read(&path) {
        Ok(content) if is_listed(&content, listed) => Ok(Some(content)),
        Ok(_) => {
            tracing::warn!(path = %path.display(), "a cached index is damaged and is fetched again");
            Ok(None)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("reading a cached index"),
    }
}

/// Stores verified content; readers see all of it or nothing.
pub(crate) fn store(cache: &Path, listed: &Listed, content: &[u8]) -> Result<()> {
    let storing = || format!("storing an index in {}", cache.display());
    fs_err::create_dir_all(cache).with_context(storing)?;
    let mut file = tempfile::NamedTempFile::new_in(cache).with_context(storing)?;
    file.write_all(content).with_context(storing)?;
    file.persist(cache.join(&listed.sha256))
        .with_context(storing)?;
    Ok(())
}

/// Whether content is what the release file lists.
pub(crate) fn is_listed(content: &[u8], listed: &Listed) -> bool {
    content.len() as u64 == listed.size && sha256(content) == listed.sha256
}

pub(crate) fn sha256(content: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(content) {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    text
}
