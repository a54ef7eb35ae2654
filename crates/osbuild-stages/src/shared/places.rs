//! Places of a tree that programs use without changing into it: there, an absolute link means another file than in the
//! finished system.

use std::io;
use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageError};

/// A directory of the tree, and how the names begin of what a program uses there.
pub(crate) type Place = (&'static str, &'static [&'static str]);

/// What links that mask a file lead to, here as in the finished system.
const NOTHING: &str = "/dev/null";

/// So many links the kernel follows, too.
const LINKS_MAX: u32 = 40;

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

/// Where `ostree admin` makes and keeps everything.
const OF_OSTREE: [Place; 5] = [
    ("/boot", ALL),
    ("/ostree", ALL),
    ("/ostree/deploy", ALL),
    ("/ostree/repo", ALL),
    ("/ostree/repo/tmp", ALL),
];

/// Makes sure that no link of the tree leads rpm's database out of it; without a path, that is where the build root's
/// rpm has it.
pub(crate) fn check_database(context: &StageContext, path: Option<&str>) -> Result<()> {
    match path {
        Some(path) => check(context, path, ALL),
        None => check(context, &default_database(context)?, ALL),
    }
}

/// Makes sure of the same for what `ostree admin` changes of a sysroot, and of one of its systems.
pub(crate) fn check_sysroot(context: &StageContext, system: Option<&str>) -> Result<()> {
    check_places(context, &OF_OSTREE)?;
    match system {
        Some(name) => check(context, &format!("/ostree/deploy/{name}"), ALL),
        None => Ok(()),
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

/// Follows links as far as anything is there: the rest is made by the program. A link to what is not there leads
/// where it says.
fn real_path(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_owned();
    let mut links = 0;
    loop {
        match fs_err::canonicalize(&path) {
            Ok(real) => return Ok(real),
            Err(error) if error.kind() != io::ErrorKind::NotFound || links == LINKS_MAX => {
                return Err(error.into());
            }
            Err(_) if path.is_symlink() => {
                links += 1;
                let target = fs_err::read_link(&path)?;
                path.pop();
                path = join(fs_err::canonicalize(&path)?, &target);
            }
            Err(_) => {
                path.pop();
            }
        }
    }
}

fn join(mut directory: PathBuf, target: &Path) -> PathBuf {
    for component in target.components() {
        match component {
            Component::ParentDir => {
                directory.pop();
            }
            // The root takes the place of everything before it.
            other => directory.push(other),
        }
    }
    directory
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_to_what_is_not_there_yet() {
        let folder = tempfile::tempdir().unwrap();
        let tree = fs_err::canonicalize(folder.path()).unwrap();
        fs_err::create_dir(tree.join("usr")).unwrap();
        for (target, link) in [
            ("../var/local", "usr/local"),
            ("/nowhere/at-all", "usr/away"),
            ("../../../nowhere", "usr/climbing"),
            ("x/../again", "usr/again"),
        ] {
            symlink(target, tree.join(link)).unwrap();
        }
        let real = |path: &str| real_path(&tree.join(path));
        assert_eq!(real("usr/local/lib/units").unwrap(), tree);
        assert_eq!(real("usr/away").unwrap(), Path::new("/"));
        assert!(!real("usr/climbing/x").unwrap().starts_with(&tree));
        assert!(real("usr/again").is_err());
        assert_eq!(real("usr/missing/x").unwrap(), tree.join("usr"));
    }
}
