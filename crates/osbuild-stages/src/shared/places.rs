//! Places of a tree that programs use without changing into it: there, an absolute link means another file than in the
//! finished system.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageError};

/// A directory of the tree, and how the names begin of what a program uses there.
pub(crate) type Place = (&'static str, &'static [&'static str]);

/// What links that mask a file lead to, here as in the finished system.
const NOTHING: &str = "/dev/null";

/// Everything in a directory.
pub(crate) const ALL: &[&str] = &[""];

/// Where `dnf` and `yum` keep what they fetch and note, and where distributions have rpm's database.
const OF_DNF: [Place; 5] = [
    ("/var/cache/dnf", ALL),
    ("/var/lib/dnf", ALL),
    ("/var/log", &["dnf", "hawkey", "yum"]),
    ("/var/lib/rpm", ALL),
    ("/usr/lib/sysimage/rpm", ALL),
];

/// Makes sure that no link of the tree leads rpm's database out of it; without a path, that is where the build root's
/// rpm has it.
pub(crate) fn check_database(context: &StageContext, path: Option<&str>) -> Result<()> {
    match path {
        Some(path) => check(context, path, ALL),
        None => check(context, &default_database(context)?, ALL),
    }
}

/// Makes sure of the same for all that `dnf` and `yum` write.
pub(crate) fn check_places_of_dnf(context: &StageContext) -> Result<()> {
    // They bring rpm's library; its program need not be there.
    if context.has_program("rpm") {
        check_database(context, None)?;
    }
    check_places(context, &OF_DNF)
}

/// Makes sure that none of these places is outside the tree, nor a link in one of them leads out of it.
pub(crate) fn check_places(context: &StageContext, places: &[Place]) -> Result<()> {
    places
        .iter()
        .try_for_each(|(path, names)| check(context, path, names))
}

/// Tells whether one of these directories is outside the tree.
pub(crate) fn is_outside<P: AsRef<str>>(context: &StageContext, directories: &[P]) -> Result<bool> {
    for directory in directories {
        if way_out(context, directory.as_ref(), &[])?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn default_database(context: &StageContext) -> Result<String> {
    let rpm = context.command("rpm").args(["--eval", "%{_dbpath}"]);
    let path = rpm.quiet().read()?;
    Ok(String::from_utf8_lossy(&path).trim().to_owned())
}

fn check(context: &StageContext, path: &str, names: &[&str]) -> Result<()> {
    match way_out(context, path, names)? {
        Some(text) => Err(StageError::new("ValueError", text).into()),
        None => Ok(()),
    }
}

/// Says how a directory leads out of the tree, or a link in it whose name begins so.
fn way_out(context: &StageContext, path: &str, names: &[&str]) -> Result<Option<String>> {
    let tree = fs_err::canonicalize(context.tree())?;
    let directory = context.tree().join(path.trim_start_matches('/'));
    let is_climbing = path.split('/').any(|part| part == "..");
    if is_climbing || !real_path(&directory)?.starts_with(&tree) {
        return Ok(Some(format!("{path} is outside the tree")));
    }
    if names.is_empty() || !directory.is_dir() {
        return Ok(None);
    }
    for entry in fs_err::read_dir(&directory)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let is_used = names.iter().any(|start| name.starts_with(start));
        let file = directory.join(&*name);
        if !is_used || !file.is_symlink() {
            continue;
        }
        let real = real_path(&file)?;
        if !real.starts_with(&tree) && real != Path::new(NOTHING) {
            return Ok(Some(format!("{path}/{name} is a link out of the tree")));
        }
    }
    Ok(None)
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
