//! Places of a tree that package managers write to without changing into it: there, an absolute link means another file
//! than in the finished system.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageError};

/// Where `dnf` and `yum` keep what they fetch and note, and where distributions have rpm's database; of `/var/log`, only
/// what begins so is theirs.
const OF_DNF: [(&str, &[&str]); 5] = [
    ("/var/cache/dnf", &[""]),
    ("/var/lib/dnf", &[""]),
    ("/var/log", &["dnf", "hawkey", "yum"]),
    ("/var/lib/rpm", &[""]),
    ("/usr/lib/sysimage/rpm", &[""]),
];

/// Makes sure that no link of the tree leads rpm's database out of it; without a path, that is where the build root's
/// rpm has it.
pub(crate) fn check_database(context: &StageContext, path: Option<&str>) -> Result<()> {
    match path {
        Some(path) => check(context, "the database", path, &[""]),
        None => check(context, "the database", &default_database(context)?, &[""]),
    }
}

/// Makes sure of the same for all that `dnf` and `yum` write.
pub(crate) fn check_places_of_dnf(context: &StageContext) -> Result<()> {
    // They bring rpm's library; its program need not be there.
    if context.has_program("rpm") {
        check_database(context, None)?;
    }
    OF_DNF
        .iter()
        .try_for_each(|(path, names)| check(context, "the directory", path, names))
}

fn default_database(context: &StageContext) -> Result<String> {
    let rpm = context.command("rpm").args(["--eval", "%{_dbpath}"]);
    let path = rpm.quiet().read()?;
    Ok(String::from_utf8_lossy(&path).trim().to_owned())
}

/// Refuses a directory that is outside the tree, and one with links out of it whose names begin with one of these.
fn check(context: &StageContext, what: &str, path: &str, names: &[&str]) -> Result<()> {
    let tree = fs_err::canonicalize(context.tree())?;
    let directory = context.tree().join(path.trim_start_matches('/'));
    let is_climbing = path.split('/').any(|part| part == "..");
    if is_climbing || !real_path(&directory)?.starts_with(&tree) {
        let text = format!("{what} {path} is outside the tree");
        return Err(StageError::new("ValueError", text).into());
    }
    if !directory.is_dir() {
        return Ok(());
    }
    for entry in fs_err::read_dir(&directory)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let is_written = names.iter().any(|start| name.starts_with(start));
        let file = directory.join(&*name);
        if is_written && file.is_symlink() && !real_path(&file)?.starts_with(&tree) {
            let text = format!("{path}/{name} is a link out of the tree");
            return Err(StageError::new("ValueError", text).into());
        }
    }
    Ok(())
}

/// The path without links, of what is there of it: the rest is made by the program.
fn real_path(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_owned();
    loop {
        match fs_err::canonicalize(&path) {
            Ok(real) => return Ok(real),
            // A link that leads nowhere yet may lead anywhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
                path.pop();
            }
            Err(error) => return Err(error.into()),
        }
    }
}
