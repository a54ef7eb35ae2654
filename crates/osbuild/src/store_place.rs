//! Where the store is when nobody says it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Upstream's place, below the current directory.
const BESIDE: &str = ".osbuild";
/// That of root.
const OF_ROOT: &str = "/var/cache/osbuild";

/// Gives the place of the store: `.osbuild` in the current directory if it is there, else `/var/cache/osbuild` for
/// root, and the XDG cache directory for others.
pub(crate) fn default_store() -> PathBuf {
    let user = rustix::process::geteuid();
    place(
        Path::new(BESIDE).is_dir(),
        user.is_root(),
        std::env::var_os("XDG_CACHE_HOME"),
        std::env::var_os("HOME"),
    )
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
