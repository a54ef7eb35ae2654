//! Users and groups of a tree, read from its own files.
//!
//! The C library's look-ups would load name-service plug-ins of whatever root the static program stands in.

use anyhow::{Context, Result};

use crate::tree_root::TreeRoot;

/// A line of `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The number, as written.
    pub uid: String,
    /// The number of the primary group, as written.
    pub gid: String,
    /// The comment, with the full name.
    pub comment: String,
    /// The home directory.
    pub home: String,
    /// The shell.
    pub shell: String,
}

/// A line of `/etc/group`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The name.
    pub name: String,
    /// The number.
    pub gid: u32,
    /// The names of its members.
    pub members: Vec<String>,
}

/// Finds a user in the tree's `/etc/passwd`.
pub fn user(tree: &TreeRoot, name: &str) -> Result<Option<User>> {
    let text = tree.read_to_string("/etc/passwd")?;
    Ok(text
        .lines()
        .filter_map(parse_user)
        .find(|user| user.name == name))
}

/// Finds a group in the tree's `/etc/group`.
pub fn group(tree: &TreeRoot, name: &str) -> Result<Option<Group>> {
    let text = tree.read_to_string("/etc/group")?;
    Ok(text
        .lines()
        .filter_map(parse_group)
        .find(|group| group.name == name))
}

impl User {
    /// Returns the user's and the primary group's number.
    pub fn ids(&self) -> Result<(u32, u32)> {
        let parse = |text: &str| {
            text.parse()
                .with_context(|| format!("reading the ids of user `{}`", self.name))
        };
        Ok((parse(&self.uid)?, parse(&self.gid)?))
    }
}

fn parse_user(line: &str) -> Option<User> {
    let mut fields = line.split(':').map(str::to_owned);
    let name = fields.next()?;
    let _password = fields.next()?;
    let (uid, gid, comment) = (fields.next()?, fields.next()?, fields.next()?);
    Some(User {
        name,
        uid,
        gid,
        comment,
        home: fields.next()?,
        shell: fields.next()?,
    })
}

fn parse_group(line: &str) -> Option<Group> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let gid = fields.nth(1)?.parse().ok()?;
    let members = fields
        .next()
        .unwrap_or("")
        .split(',')
        .filter(|member| !member.is_empty());
    Some(Group {
        name,
        gid,
        members: members.map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_from_the_tree() {
        let directory = tempfile::tempdir().unwrap();
        let tree = TreeRoot::open(directory.path()).unwrap();
        tree.create_dir("etc", 0o777).unwrap();
        tree.write(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nbroken\nanna:x:1000:100:Anna:/home/anna:\n",
        )
        .unwrap();
        tree.write("etc/group", "root:x:0:\nbroken:x\nusers:x:100:anna,bert\n")
            .unwrap();
        let anna = user(&tree, "anna").unwrap().unwrap();
        assert_eq!(
            (anna.ids().unwrap(), anna.home.as_str(), anna.shell.as_str()),
            ((1000, 100), "/home/anna", "")
        );
        assert_eq!(user(&tree, "broken").unwrap(), None);
        let users = Group {
            name: "users".into(),
            gid: 100,
            members: vec!["anna".into(), "bert".into()],
        };
        assert_eq!(group(&tree, "users").unwrap(), Some(users));
        assert_eq!(group(&tree, "broken").unwrap(), None);
    }
}
