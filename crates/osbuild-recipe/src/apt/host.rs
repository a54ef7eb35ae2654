//! Which distribution and release this machine runs.

use std::path::Path;

use anyhow::{Context, Result};

use crate::distribution::Distribution;

/// A machine's system, by its os-release.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub distribution: Distribution,
    /// The code name of its release, which need not be one that this program knows.
    pub code_name: String,
}

/// The system below a root; none when its distribution is unknown to this program or its release has no code name.
pub(super) fn host(root: &Path) -> Result<Option<Host>> {
    for name in ["etc/os-release", "usr/lib/os-release"] {
        let path = root.join(name);
        if path.exists() {
            let text =
                fs_err::read_to_string(&path).context("finding out what this machine runs")?;
            return Ok(host_of(&text));
        }
    }
    Ok(None)
}

fn host_of(text: &str) -> Option<Host> {
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(|value| value.trim_matches(['"', '\'']))
    };
    let id = value("ID")?;
    let code_name = value("VERSION_CODENAME")?;
    let (_, distribution) = Distribution::ALL.iter().find(|(word, _)| *word == id)?;
    Some(Host {
        distribution: *distribution,
        code_name: code_name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_known_by_id_and_code_name() {
        for (text, expected) in [
            (
                "ID=debian\nVERSION_CODENAME=bookworm\n",
                Some((Distribution::Debian, "bookworm")),
            ),
            (
                "VERSION_CODENAME=\"noble\"\nID='ubuntu'\n",
                Some((Distribution::Ubuntu, "noble")),
            ),
            (
                "ID=debian\nVERSION_CODENAME=forky\n",
                Some((Distribution::Debian, "forky")),
            ),
            ("ID=fedora\nVERSION_ID=43\n", None),
            ("ID_LIKE=debian\nVERSION_CODENAME=bookworm\n", None),
        ] {
            let expected = expected.map(|(distribution, code_name)| Host {
                distribution,
                code_name: code_name.to_owned(),
            });
            assert_eq!(host_of(text), expected, "{text}");
        }
    }
}
