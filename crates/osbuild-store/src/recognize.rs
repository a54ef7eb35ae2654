//! Tells a store from other directories, whose `tmp` and `stage` must not be emptied.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Result, bail};

/// What may be in a store that has no `cache.info` yet: one about to be made by another build, one with downloads
/// put there in advance, the top of a new file system.
const KNOWN: [&str; 13] = [
    "CACHEDIR.TAG",
    "builds",
    "cache.lock",
    "cache.size",
    "logs",
    "lost+found",
    "objects",
    "package-lists",
    "program-digest",
    "sources",
    "stage",
    "steps",
    "tmp",
];
/// How files begin that are about to get their name.
const NEW_FILE: &str = ".new-";

/// Directories that a store takes things out of.
const MANAGED: [&str; 4] = ["objects", "stage", "steps", "tmp"];

/// Refuses a directory of someone else's in which a store would remove things.
///
/// One that merely holds other files, a manifest for one, becomes a store as it does upstream; they are left alone.
pub(crate) fn refuse_foreign(root: &Path) -> Result<()> {
    if root.parent().is_none() {
        bail!("it is the top of the file system: name a directory of its own with --store");
    }
    let entries = match fs_err::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let names = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    let has = |name: &str| names.iter().any(|other| other == name);
    let Some(managed) = MANAGED.into_iter().find(|name| has(name)) else {
        return Ok(());
    };
    let is_known = |name: &str| KNOWN.contains(&name) || name.starts_with(NEW_FILE);
    let foreign = names.iter().find(|name| !is_known(name));
    let is_begun = foreign.is_none() && root.join("objects").is_dir();
    // Looked for last: another build may be making the store just now.
    if is_begun || root.join("cache.info").is_file() {
        return Ok(());
    }
    let name = foreign.map_or(managed, String::as_str);
    bail!(
        "it is no store and not empty, `{name}` is in it: name an empty directory, or a new one, with --store"
    )
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
