//! Which files dpkg writes elsewhere.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Result, ensure};

use super::DIRECTORY;
use crate::deb::unpack::TopLevel;
use crate::deb::unpack::root::Root;

/// The diversions of a tree: `dpkg-divert` in a `preinst` made them.
#[derive(Debug, Default)]
pub struct Diversions {
    /// Where a path leads, and whose package's files stay.
    targets: HashMap<Vec<u8>, (Vec<u8>, Vec<u8>)>,
}

impl Diversions {
    /// Reads the tree's diversions.
    pub fn read(tree: &Path) -> Result<Self> {
        let root = Root::open(tree, TopLevel::AsShipped)?;
        let path = format!("{DIRECTORY}/diversions");
        Self::parse(&root.read_if_exists(path.as_bytes())?.unwrap_or_default())
    }

    /// Three lines each: the path, where it goes, and the package that may write to it (`:` for none).
    fn parse(text: &[u8]) -> Result<Self> {
        let mut lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
        lines.pop_if(|line| line.is_empty());
        ensure!(
            lines.len().is_multiple_of(3),
            "/{DIRECTORY}/diversions is damaged"
        );
        let targets = lines
            .chunks_exact(3)
            .map(|lines| (lines[0].to_vec(), (lines[1].to_vec(), lines[2].to_vec())))
            .collect();
        Ok(Self { targets })
    }

    /// Where a package's file goes, if not to its own path.
    pub fn target(&self, path: &[u8], package: &str) -> Option<&[u8]> {
        let (target, owner) = self.targets.get(path)?;
        (owner != package.as_bytes()).then_some(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_diversion_writes_to_the_path_itself() {
        let diversions =
            Diversions::parse(b"/bin/a\n/bin/a.real\nmine\n/bin/b\n/bin/c\n:\n").unwrap();
        assert_eq!(diversions.target(b"/bin/a", "mine"), None);
        assert_eq!(
            diversions.target(b"/bin/a", "other"),
            Some(&b"/bin/a.real"[..])
        );
        assert_eq!(diversions.target(b"/bin/b", "mine"), Some(&b"/bin/c"[..]));
        assert_eq!(diversions.target(b"/bin/x", "mine"), None);
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        assert!(Diversions::parse(b"/bin/a\n/bin/b\n").is_err());
        assert!(Diversions::parse(b"").unwrap().targets.is_empty());
    }
}
