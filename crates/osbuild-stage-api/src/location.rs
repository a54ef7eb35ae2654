//! Location strings of manifests: `tree:///path`, `mount://name/path`, `input://name/path`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::context::StageContext;
use crate::tree_root::TreeRoot;

/// A place in the tree, a mount or an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    root: PathBuf,
    /// Below the root, without `.`, `..` or slashes at either end.
    relative: PathBuf,
    is_directory_spelled: bool,
}

impl Location {
    /// Reads a location; `..` never climbs above the root, as in a path that starts with `/`.
    ///
    /// Unlike upstream, which reads locations as URLs, `?` and `#` have no meaning: they belong to the path.
    pub(crate) fn parse(location: &str, context: &StageContext) -> Result<Self> {
        let (scheme, rest) = location.split_once("://").unwrap_or(("tree", location));
        let (name, path) = rest
            .find('/')
            .map_or((rest, ""), |slash| rest.split_at(slash));
        let root = match scheme.to_ascii_lowercase().as_str() {
            "tree" => context.tree(),
            "mount" if name.is_empty() => context.mounts_root(),
            "mount" => match context.mount(name) {
                Ok(mount) => mount.path(),
                Err(_) => bail!("Unknown mount '{name}'"),
            },
            "input" => match context.input(name) {
                Ok(input) => input.path(),
                Err(_) => bail!("Unknown input '{name}'"),
            },
            _ => bail!("Unsupported scheme '{scheme}'"),
        };
        if !location.contains("://") && !location.starts_with('/') {
            bail!("url.path from location must start with '/', got: {location}");
        }
        if path.is_empty() {
            bail!("url.path from location must start with '/', got: {path}");
        }
        Ok(Self {
            root: normalize_root(root),
            relative: normalize(path),
            is_directory_spelled: path.ends_with('/'),
        })
    }

    /// Returns the directory the location is below: the tree, a mount, an input.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the path below the root, starting with `/`.
    pub fn path(&self) -> PathBuf {
        Path::new("/").join(&self.relative)
    }

    /// Returns the path as a program of the build root sees it; a trailing slash is kept as `/.`.
    ///
    /// Links inside are not looked at: a program that follows them may leave the root.
    pub fn host_path(&self) -> PathBuf {
        let path = if self.relative.as_os_str().is_empty() {
            self.root.clone()
        } else {
            self.root.join(&self.relative)
        };
        if self.is_directory_spelled {
            path.join(".")
        } else {
            path
        }
    }

    /// Opens the root for file work that links inside it can not lead astray.
    pub fn tree_root(&self) -> Result<TreeRoot> {
        TreeRoot::open(&self.root)
    }

    /// Tells whether the location was written with a slash at its end.
    pub fn is_directory_spelled(&self) -> bool {
        self.is_directory_spelled
    }
}

/// Resolves `.` and `..` in words alone, as Python's `normpath` does, never above the top.
fn normalize(path: &str) -> PathBuf {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.iter().collect()
}

/// A mount at the top is given as `/run/osbuild/mounts/.`.
fn normalize_root(root: &Path) -> PathBuf {
    root.components().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Output;
    use serde_json::json;

    fn locate(location: &str) -> Result<String> {
        let arguments = json!({
            "tree": "/tree",
            "paths": {"devices": "/dev", "inputs": "/inputs", "mounts": "/mounts"},
            "inputs": {"in": {"path": "/inputs/in"}},
            "mounts": {"root": {"path": "/mounts/."}, "boot": {"path": "/mounts/boot"}, "none": {}},
        });
        let context = StageContext::new(arguments, PathBuf::new(), Output::buffered())?;
        Ok(context
            .resolve_location(location)?
            .host_path()
            .display()
            .to_string())
    }

    #[test]
    fn locations_are_resolved_as_upstream_does() {
        for (location, expected) in [
            ("/etc/fstab", "/tree/etc/fstab"),
            ("tree:///etc/fstab", "/tree/etc/fstab"),
            ("tree:///", "/tree/."),
            ("tree:///a/", "/tree/a/."),
            ("tree:///../../etc", "/tree/etc"),
            ("tree:///a//b/./../c", "/tree/a/c"),
            ("mount:///boot/x", "/mounts/boot/x"),
            ("mount://root/x", "/mounts/x"),
            ("mount://boot/", "/mounts/boot/."),
            ("input://in/file", "/inputs/in/file"),
            ("tree:///what#now?", "/tree/what#now?"),
        ] {
            assert_eq!(locate(location).unwrap(), expected, "{location}");
        }
    }

    #[test]
    fn locations_that_mean_nothing_are_refused() {
        for (location, expected) in [
            ("mount://none/x", "Unknown mount 'none'"),
            ("mount://other/x", "Unknown mount 'other'"),
            ("input://other/x", "Unknown input 'other'"),
            ("http://host/x", "Unsupported scheme 'http'"),
            (
                "tree://",
                "url.path from location must start with '/', got: ",
            ),
            (
                "relative/path",
                "url.path from location must start with '/', got: relative/path",
            ),
        ] {
            assert_eq!(
                locate(location).unwrap_err().to_string(),
                expected,
                "{location}"
            );
        }
    }
}
