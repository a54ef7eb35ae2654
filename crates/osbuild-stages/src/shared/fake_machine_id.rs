//! A machine id for the time that packages are installed.
//!
//! Scripts of packages make one where there is none, and each machine would have the one of the build. A fixed one
//! keeps them from that, and what they derive from it is the same each time.

use anyhow::Result;
use osbuild_stage_api::TreeRoot;

const FILE: &str = "/etc/machine-id";
const FAKE: &str = "ffffffffffffffffffffffffffffffff\n";
const MODE: u32 = 0o444;

/// A tree with a machine id.
#[derive(Debug)]
pub(crate) struct FakeMachineId<'a> {
    tree: &'a TreeRoot,
    is_ours: bool,
}

impl<'a> FakeMachineId<'a> {
    /// Makes one unless the tree has one.
    pub(crate) fn make_if_missing(tree: &'a TreeRoot) -> Result<Self> {
        let is_ours = !tree.exists(FILE)?;
        if is_ours {
            tree.create_dir_all("/etc")?;
            tree.write(FILE, FAKE)?;
            tree.chmod(FILE, MODE)?;
        }
        Ok(Self { tree, is_ours })
    }

    /// Leaves an empty file in place of the one that was made; one that was there before stays.
    pub(crate) fn empty_if_made(self) -> Result<()> {
        if self.is_ours {
            self.tree.remove_file(FILE)?;
            self.tree.write(FILE, "")?;
        }
        Ok(())
    }

    /// Leaves an empty file, from which systemd knows that it is to make an id; also where there was an id before.
    pub(crate) fn empty(self) -> Result<()> {
        self.tree.remove_file(FILE)?;
        self.tree.write(FILE, "")?;
        self.tree.chmod(FILE, MODE)
    }
}
