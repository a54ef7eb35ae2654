//! Which package a path belongs to.
//!
//! dpkg decides that as packages come, one after the other. Here they come at once, so the decision is made by their
//! rank instead: a path is claimed before it is written, and who claims it second asks who it belongs to.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use anyhow::Result;
use rustix::fs::{Mode, Timespec, Timestamps};

use super::root::Root;

/// Which of two packages a path belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precedence {
    /// The one that came later replaces the other's files.
    Later,
    /// The one that came first replaces the other's files.
    Earlier,
    /// Both have the same file: instances of one package for several architectures.
    Shared,
    /// Neither: this is an error, with these names for the later and the earlier one.
    Conflict(String, String),
}

/// What has become of a claim on a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Nobody has it: write it.
    New,
    /// Another package's file gives way: remove it, write it.
    Replaces,
    /// Another package has it.
    Lost,
    /// Another package has the very same.
    Shared,
}

#[derive(Debug)]
enum Entry {
    File { rank: usize, name: Vec<u8> },
    Directory(Directory),
}

#[derive(Debug)]
struct Directory {
    rank: usize,
    modified: i64,
    children: Option<Children>,
    /// Whether packages of a lower rank no longer change its owner and mode.
    keeps_looks: bool,
    has_time: bool,
}

/// Which package says how a directory that several have looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looks {
    /// The first, as with dpkg.
    First,
    /// The last, as with `tar`, which unpacks the first packages of a tree.
    Last,
}

/// Which entries of a directory have changed its time for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Children {
    /// Every one: dpkg makes them after the directory.
    Any,
    /// All but directories, which were there when dpkg came.
    Files,
}

/// Every path that a package brought.
pub(super) struct Claims<'a> {
    entries: Mutex<HashMap<Vec<u8>, Entry>>,
    lost: Mutex<HashMap<usize, HashSet<Vec<u8>>>>,
    precedence: &'a (dyn Fn(usize, usize) -> Precedence + Sync),
}

impl<'a> Claims<'a> {
    pub(super) fn new(precedence: &'a (dyn Fn(usize, usize) -> Precedence + Sync)) -> Self {
        Self {
            entries: Mutex::default(),
            lost: Mutex::default(),
            precedence,
        }
    }

    /// Claims a path that is no directory. `name` is how the package spells it, `path` where that leads.
    pub(super) fn file(&self, path: &[u8], name: &[u8], rank: usize) -> Result<Claim> {
        let mut entries = self.entries.lock().expect("no thread panics with it");
        let parent = parent_of(path);
        if let Some(Entry::Directory(directory)) = entries.get_mut(parent) {
            directory.children = Some(Children::Files);
        }
        let Some(entry) = entries.get_mut(path) else {
            entries.insert(
                path.to_vec(),
                Entry::File {
                    rank,
                    name: name.to_vec(),
                },
            );
            return Ok(Claim::New);
        };
        let Entry::File {
            rank: owner,
            name: owned_name,
        } = entry
        else {
            anyhow::bail!("trying to overwrite the directory {}", show(name));
        };
        if *owner == rank {
            return Ok(Claim::Replaces);
        }
        let is_later = rank > *owner;
        let (later, earlier) = (rank.max(*owner), rank.min(*owner));
        let wins = match (self.precedence)(later, earlier) {
            Precedence::Shared => return Ok(Claim::Shared),
            Precedence::Later => is_later,
            Precedence::Earlier => !is_later,
            // `/bin/x` and `/usr/bin/x`: dpkg does not see that they are one, and the last one stays.
            Precedence::Conflict(..) if owned_name != name => is_later,
            Precedence::Conflict(later, earlier) => anyhow::bail!(
                "trying to overwrite {}, which is in the package {earlier} and in {later}",
                show(name)
            ),
        };
        let (loser, lost_name) = if wins {
            let lost = (*owner, std::mem::replace(owned_name, name.to_vec()));
            *owner = rank;
            lost
        } else {
            (rank, name.to_vec())
        };
        let mut lost = self.lost.lock().expect("no thread panics with it");
        lost.entry(loser).or_default().insert(lost_name);
        Ok(if wins { Claim::Replaces } else { Claim::Lost })
    }

    /// Tells whether a path is still that package's.
    pub(super) fn is_owner(&self, path: &[u8], rank: usize) -> bool {
        let entries = self.entries.lock().expect("no thread panics with it");
        matches!(entries.get(path), Some(Entry::File { rank: owner, .. }) if *owner == rank)
    }

    /// Makes a directory, or gives an existing one the looks it is to have; what was there before the first package
    /// keeps its own.
    pub(super) fn directory(
        &self,
        path: &[u8],
        rank: usize,
        modified: i64,
        looks: Looks,
        make: &mut dyn FnMut() -> Result<bool>,
        apply: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let mut entries = self.entries.lock().expect("no thread panics with it");
        match entries.get_mut(path) {
            Some(Entry::Directory(directory)) => {
                let wins = match looks {
                    Looks::First => rank < directory.rank,
                    Looks::Last => rank > directory.rank,
                };
                if wins && !directory.keeps_looks {
                    (directory.rank, directory.modified) = (rank, modified);
                    apply()?;
                }
            }
            // A file of that name: whether it may be, `make` will find out.
            Some(Entry::File { .. }) => drop(make()?),
            None => {
                if make()? {
                    apply()?;
                    if let Some(Entry::Directory(above)) = entries.get_mut(parent_of(path)) {
                        above.children.get_or_insert(Children::Any);
                    }
                    let directory = Directory {
                        rank,
                        modified,
                        children: None,
                        keeps_looks: false,
                        has_time: false,
                    };
                    entries.insert(path.to_vec(), Entry::Directory(directory));
                }
            }
        }
        Ok(())
    }

    /// Ends a batch: later packages leave the looks of its directories alone.
    pub(super) fn keep_looks(&self) {
        let mut entries = self.entries.lock().expect("no thread panics with it");
        for entry in entries.values_mut() {
            if let Entry::Directory(directory) = entry {
                directory.keeps_looks = true;
            }
        }
    }

    /// Ends a batch, and gives directories the times of their packages, if no such child has changed them.
    pub(super) fn set_times(&self, root: &Root, children: Children) -> Result<()> {
        self.keep_looks();
        let mut entries = self.entries.lock().expect("no thread panics with it");
        for (path, entry) in entries.iter_mut() {
            let Entry::Directory(directory) = entry else {
                continue;
            };
            // Files change it for good, in either case.
            let is_changed = directory
                .children
                .is_some_and(|found| found == Children::Files || children == Children::Any);
            if std::mem::replace(&mut directory.has_time, true) || is_changed {
                continue;
            }
            root.set_time(path, directory.modified)?;
        }
        Ok(())
    }

    /// The paths that a package brought and that belong to another.
    pub(super) fn lost(&self, rank: usize) -> HashSet<Vec<u8>> {
        let mut lost = self.lost.lock().expect("no thread panics with it");
        lost.remove(&rank).unwrap_or_default()
    }
}

/// The last component of a path, and what is before it.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

fn parent_of(path: &[u8]) -> &[u8] {
    split(path).0
}

fn show(path: &[u8]) -> String {
    format!(
        "`/{}`",
        String::from_utf8_lossy(path).trim_start_matches('/')
    )
}

/// Both times of a file, as the archive has one.
pub(super) fn timestamps(modified: i64) -> Timestamps {
    let time = Timespec {
        tv_sec: modified,
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// The permission bits of a mode.
pub(super) fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & 0o7777)
}
