//! The numbers of users and groups in the tree.

use std::collections::HashMap;

use super::root::Root;
use anyhow::Result;
use std::path::Path;

/// Users and groups by name, as the tree has them.
#[derive(Debug, Default)]
pub struct Accounts {
    users: HashMap<Vec<u8>, u32>,
    groups: HashMap<Vec<u8>, u32>,
}

impl Accounts {
    /// Reads the tree's accounts; before the first package is there, there are none.
    pub fn read(tree: &Path) -> Result<Self> {
        let root = Root::open(tree, super::TopLevel::AsShipped)?;
        Ok(Self {
            users: numbers(&root.read_if_exists(b"etc/passwd")?.unwrap_or_default()),
            groups: numbers(&root.read_if_exists(b"etc/group")?.unwrap_or_default()),
        })
    }

    /// The number that the tree has for a user, or else the one the archive names: dpkg's rule.
    pub(super) fn user(&self, name: Option<&[u8]>, number: u64) -> u32 {
        lookup(&self.users, name, number)
    }

    /// The number that the tree has for a group, or else the one the archive names.
    pub(super) fn group(&self, name: Option<&[u8]>, number: u64) -> u32 {
        lookup(&self.groups, name, number)
    }
}

fn lookup(numbers: &HashMap<Vec<u8>, u32>, name: Option<&[u8]>, number: u64) -> u32 {
    let known = name.and_then(|name| numbers.get(name)).copied();
    known.unwrap_or(number as u32)
}

/// Both files have the name first and the number third.
fn numbers(text: &[u8]) -> HashMap<Vec<u8>, u32> {
    text.split(|&byte| byte == b'\n')
        .filter_map(|line| {
            let mut fields = line.split(|&byte| byte == b':');
            let name = fields.next()?;
            let number = std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()?;
            Some((name.to_vec(), number))
        })
        .collect()
}
