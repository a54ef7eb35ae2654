//! Which release this machine runs.

use std::path::Path;

use anyhow::{Context, Result};

use crate::distribution::{Distribution, Release};

/// The release below a root by its os-release; none when it is unknown to this program.
pub(super) fn release(root: &Path) -> Result<Option<Release>> {
    for name in ["etc/os-release", "usr/lib/os-release"] {
        let path = root.join(name);
        if path.exists() {
            let text =
                fs_err::read_to_string(&path).context("finding out what this machine runs")?;
            return Ok(release_of(&text));
        }
    }
    Ok(None)
}

fn release_of(text: &str) -> Option<Release> {
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(|value| value.trim_matches(['"', '\'']))
    };
    let id = value("ID")?;
    let code_name = value("VERSION_CODENAME")?;
    let (_, distribution) = Distribution::ALL.iter().find(|(word, _)| *word == id)?;
    let releases = distribution.releases();
    let found = releases.iter().find(|(name, _)| *name == code_name);
    found.map(|(_, release)| *release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_known_by_id_and_code_name() {
        for (text, release) in [
            (
                "ID=debian\nVERSION_CODENAME=bookworm\n",
                Some(Release::DebianBookworm),
            ),
            (
                "VERSION_CODENAME=\"noble\"\nID='ubuntu'\n",
                Some(Release::UbuntuNoble),
            ),
            ("ID=debian\nVERSION_CODENAME=sid\n", None),
            ("ID=fedora\nVERSION_ID=43\n", None),
            ("ID_LIKE=debian\nVERSION_CODENAME=bookworm\n", None),
        ] {
            assert_eq!(release_of(text), release, "{text}");
        }
    }
}
