//! What `tar` is told to pack.

use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;

/// Returns the entries of a directory, sorted, as arguments that name them.
pub(crate) fn top_entries(tree: &Path) -> Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(tree)? {
        names.push(entry?.file_name());
    }
    names.sort();
    let as_member = |name: OsString| {
        if !name.as_encoded_bytes().starts_with(b"-") {
            return name;
        }
        // A name that would be taken for an option.
        let mut member = OsString::from("--add-file=");
        member.push(name);
        member
    };
    Ok(names.into_iter().map(as_member).collect())
}
