//! Tells a store from other directories, whose `tmp` and `stage` must not be emptied.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Result, bail};

/// What may be in a store that has no `cache.info` yet: one about to be made by another build, one with downloads
/// put there in advance, the top of a new file system.
const KNOWN: [&str; 11] = [
    "CACHEDIR.TAG",
    "cache.lock",
    "cache.size",
    "logs",
    "lost+found",
    "objects",
    "package-lists",
    "sources",
    "stage",
    "steps",
    "tmp",
];
/// How files begin that are about to get their name.
const NEW_FILE: &str = ".new-";

/// Refuses a directory that is neither a store nor empty.
pub(crate) fn refuse_foreign(root: &Path) -> Result<()> {
    if root.parent().is_none() {
        bail!("it is the top of the file system: name a directory of its own with --store");
    }
    let entries = match fs_err::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut foreign = None;
    for entry in entries {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        let is_known = KNOWN.contains(&&*text) || text.starts_with(NEW_FILE);
        // These are emptied, and are usual names elsewhere.
        let is_emptied = text == "tmp" || text == "stage";
        if !is_known || (is_emptied && !root.join("objects").is_dir()) {
            foreign = Some(text.into_owned());
        }
    }
    // Looked for last: another build may be making the store just now.
    match foreign {
        Some(name) if !root.join("cache.info").is_file() => bail!(
            "it is no store and not empty, `{name}` is in it: name an empty directory, or a new one, with --store"
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without opening anything: what is tested here must not be tried.
    #[test]
    fn the_top_of_the_file_system_is_no_store() {
        let error = refuse_foreign(Path::new("/")).unwrap_err().to_string();
        assert!(
            error.starts_with("it is the top of the file system"),
            "{error}"
        );
    }
}
