//! Where the store is when nobody says it.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::tell;

/// Upstream's place, below the current directory.
const BESIDE: &str = ".osbuild";
/// That of root.
const OF_ROOT: &str = "/var/cache/osbuild";
/// Write permission of all users.
const ALL_WRITE: u32 = 0o002;

/// Gives the place of the store: `.osbuild` in the current directory if it is there, else `/var/cache/osbuild` for
/// root, and the XDG cache directory for others.
///
/// Whoever writes in a store decides what is built from it. So a store of another user, in whose directory this may be
/// called, counts only when it is named.
pub(crate) fn default_store() -> PathBuf {
    let user = rustix::process::geteuid();
    place(
        Path::new(BESIDE).is_dir() && stranger_of(Path::new(BESIDE)).is_none(),
        user.is_root(),
        std::env::var_os("XDG_CACHE_HOME"),
        std::env::var_os("HOME"),
    )
}

/// Says so if the default is another store than the one that is here, for that is not this user's.
pub(crate) fn tell_what_is_passed_over(store: &Path) {
    let beside = Path::new(BESIDE);
    if store != default_store() || !beside.is_dir() {
        return;
    }
    if let Some(stranger) = stranger_of(beside) {
        tell::note(&format!(
            "the store {BESIDE} here is not used, for {stranger}; name it with `--store ./{BESIDE}` if you trust it"
        ));
    }
}

/// Says who else than this user and root could have written a store; none if nobody.
fn stranger_of(store: &Path) -> Option<String> {
    let mine = rustix::process::geteuid().as_raw();
    // Who calls `sudo` in the own directory.
    let caller = std::env::var("SUDO_UID")
        .ok()
        .and_then(|uid| uid.parse().ok());
    let is_known = |uid| uid == 0 || uid == mine || Some(uid) == caller;
    // A link, and what it leads to.
    for found in [fs::symlink_metadata(store), fs::metadata(store)] {
        let Ok(found) = found else {
            return Some("it can not be looked at".to_owned());
        };
        if !is_known(found.uid()) {
            return Some(format!("it belongs to user {}", found.uid()));
        }
        if !found.is_symlink() && found.mode() & ALL_WRITE != 0 {
            return Some("all users can write in it".to_owned());
        }
    }
    None
}

fn place(
    is_beside: bool,
    is_root: bool,
    cache_home: Option<OsString>,
    home: Option<OsString>,
) -> PathBuf {
    if is_beside {
        return PathBuf::from(BESIDE);
    }
    if is_root {
        return PathBuf::from(OF_ROOT);
    }
    // The XDG base directory specification: relative paths do not count.
    let named = cache_home
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    match (named, home) {
        (Some(named), _) => named.join("osbuild"),
        (None, Some(home)) => Path::new(&home).join(".cache/osbuild"),
        (None, None) => PathBuf::from(BESIDE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_others_can_write_is_a_strangers() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join(".osbuild");
        fs::create_dir(&store).unwrap();
        let set_mode = |mode| {
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(&store, permissions).unwrap();
        };
        set_mode(0o775);
        assert_eq!(stranger_of(&store), None);
        let link = folder.path().join("link");
        fs::os::unix::fs::symlink(&store, &link).unwrap();
        assert_eq!(stranger_of(&link), None);
        set_mode(0o777);
        let all = Some("all users can write in it".to_owned());
        assert_eq!(stranger_of(&store), all);
        assert_eq!(stranger_of(&link), all);
    }

    #[test]
    fn a_store_beside_comes_first_then_that_of_the_user() {
        let text = |text: &str| Some(OsString::from(text));
        let cases = [
            (place(true, true, text("/c"), text("/h")), ".osbuild"),
            (
                place(false, true, text("/c"), text("/h")),
                "/var/cache/osbuild",
            ),
            (place(false, false, text("/c"), text("/h")), "/c/osbuild"),
            (
                place(false, false, text("c"), text("/h")),
                "/h/.cache/osbuild",
            ),
            (place(false, false, None, text("/h")), "/h/.cache/osbuild"),
            (place(false, false, None, None), ".osbuild"),
        ];
        for (found, expected) in cases {
            assert_eq!(found, Path::new(expected));
        }
    }
}
