//! Unpacks the files of packages into a tree, on all processors, while rpm writes its database.
//!
//! Only sets of packages of which nothing but their files matters: no package of the set can see the files of
//! another, or be in its way, so that the order of unpacking can not be told from the result. [`plan`] decides that
//! before anything is written; everything else is left to rpm. The digests of payload and files are checked as rpm
//! does.

mod paths;
mod write;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use rustix::fs::FileType;

use self::paths::Paths;
use self::write::Writer;
use super::digests::Digests;
use super::package::{File, Package};
use super::payload::is_known_compressor;

/// SHA-256 among the digest algorithms of `OpenPGP`.
const SHA256: u64 = 8;
/// Files that rpm looks accounts up in: who owns a file would depend on when they come.
const ACCOUNTS: [&[u8]; 2] = [b"/etc/passwd", b"/etc/group"];
/// What is not the tree's own while packages are installed.
const MOUNTED: [&[u8]; 3] = [b"/dev", b"/proc", b"/sys"];
/// Permissions of directories that no package has.
const UNOWNED_MODE: u32 = 0o755;

/// Users and groups by name, without root, who is known everywhere.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    /// Numbers of users.
    pub users: HashMap<Vec<u8>, u32>,
    /// Numbers of groups.
    pub groups: HashMap<Vec<u8>, u32>,
}

/// What is to be done with a set of packages.
#[derive(Debug)]
pub enum Plan<'a> {
    /// It can be unpacked here.
    Unpack(Unpacking<'a>),
    /// It is for rpm to unpack; why.
    LeaveToRpm(String),
}

/// A set of packages that can be unpacked here.
#[derive(Debug)]
pub struct Unpacking<'a> {
    packages: Vec<Contents<'a>>,
    directories: BTreeMap<Vec<u8>, Directory>,
}

/// A package and its files.
#[derive(Debug)]
struct Contents<'a> {
    package: &'a Package,
    files: Vec<OwnedFile>,
}

/// A file with the numbers of its owners.
#[derive(Debug)]
struct OwnedFile {
    file: File,
    uid: u32,
    gid: u32,
}

/// What a directory is to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Directory {
    mode: u32,
    uid: u32,
    gid: u32,
    /// None if packages give it different times, or if none has it.
    mtime: Option<u64>,
    is_owned: bool,
    has_entries: bool,
}

/// Decides who unpacks a set of packages into a tree without packages.
pub fn plan<'a>(packages: &'a [Package], tree: &Path, owners: &Owners) -> Result<Plan<'a>> {
    if let Some(reason) = unusual_package(packages)? {
        return Ok(Plan::LeaveToRpm(reason));
    }
    let mut contents = Vec::new();
    for package in packages {
        let mut files = Vec::new();
        for file in package.files()? {
            if let Some(what) = unusual_file(&file) {
                let path = String::from_utf8_lossy(&file.path);
                let reason = format!("`{path}` of `{}` {what}", package.name());
                return Ok(Plan::LeaveToRpm(reason));
            }
            let uid = number(&owners.users, &file.user);
            let gid = number(&owners.groups, &file.group);
            let (Some(uid), Some(gid)) = (uid, gid) else {
                let reason = format!("`{}` has files of unknown users", package.name());
                return Ok(Plan::LeaveToRpm(reason));
            };
            files.push(OwnedFile { file, uid, gid });
        }
        if has_unclear_links(&files) {
            let reason = format!("`{}` has files of one number that differ", package.name());
            return Ok(Plan::LeaveToRpm(reason));
        }
        contents.push(Contents { package, files });
    }
    let directories = match Paths::collect(&contents) {
        Ok(paths) => paths.directories,
        Err(reason) => return Ok(Plan::LeaveToRpm(reason.0)),
    };
    let unpacking = Unpacking {
        packages: contents,
        directories,
    };
    if let Some(path) = write::path_in_the_way(tree, &unpacking)? {
        let path = String::from_utf8_lossy(&path).into_owned();
        return Ok(Plan::LeaveToRpm(format!("the tree has `{path}` already")));
    }
    Ok(Plan::Unpack(unpacking))
}

/// Looks for what only rpm does right.
fn unusual_package(packages: &[Package]) -> Result<Option<String>> {
    let mut names = HashSet::new();
    for package in packages {
        let name = package.name();
        let (format, compressor) = package.payload_kind()?;
        let makes_accounts =
            |name: &[u8]| name.starts_with(b"user(") || name.starts_with(b"group(");
        let reason = if package.has_scripts() {
            "has scripts"
        } else if package.is_source() {
            "is a source package"
        } else if Digests::begin(package)?.is_none() {
            "has digests that are not known here"
        } else if format != "cpio" || !is_known_compressor(compressor) {
            "has a payload that is not known here"
        } else if package.digest_algorithm()? != SHA256 {
            "has files with other digests than SHA-256"
        } else if package.provides()?.into_iter().any(makes_accounts) {
            "makes users"
        } else if !package.obsoletes()?.is_empty() {
            "obsoletes others"
        } else if !names.insert(name) {
            "is there twice"
        } else {
            continue;
        };
        return Ok(Some(format!("`{name}` {reason}")));
    }
    Ok(None)
}

fn unusual_file(file: &File) -> Option<&'static str> {
    let is_plain = |part: &[u8]| !part.is_empty() && part != b"." && part != b"..";
    let is_clean = file
        .path
        .strip_prefix(b"/")
        .is_some_and(|path| path.split(|byte| *byte == b'/').all(is_plain));
    match FileType::from_raw_mode(file.mode) {
        _ if !is_clean => Some("is no plain path"),
        _ if is_mounted(&file.path) => Some("is in a file system of the kernel"),
        _ if ACCOUNTS.contains(&file.path.as_slice()) => Some("decides who owns files"),
        _ if file.is_ghost => None,
        FileType::RegularFile if !file.capabilities.is_empty() => Some("has capabilities"),
        FileType::RegularFile | FileType::Directory | FileType::Symlink => None,
        _ => Some("is a device, a pipe or a socket"),
    }
}

fn is_mounted(path: &[u8]) -> bool {
    let top = path[1..].iter().position(|byte| *byte == b'/');
    MOUNTED.contains(&top.map_or(path, |at| &path[..=at]))
}

/// Files with the same number are names of one file, unless they come from several disks, as in very old packages.
fn has_unclear_links(files: &[OwnedFile]) -> bool {
    let mut known = HashMap::new();
    let regular = |file: &&OwnedFile| FileType::from_raw_mode(file.file.mode).is_file();
    files
        .iter()
        .filter(regular)
        .any(|OwnedFile { file, uid, gid }| {
            let looks = (&file.digest, file.size, file.mode, file.mtime, *uid, *gid);
            let looks = (looks, file.is_ghost);
            *known.entry(file.inode).or_insert(looks) != looks
        })
}

fn number(numbers: &HashMap<Vec<u8>, u32>, name: &[u8]) -> Option<u32> {
    if name == b"root" {
        return Some(0);
    }
    numbers.get(name).copied()
}

impl Unpacking<'_> {
    /// Unpacks everything with so many threads. The first package that fails stops the others.
    pub fn unpack(&self, tree: &Path, threads: usize) -> Result<()> {
        let writer = Writer::open(tree)?;
        writer.make_directories(&self.directories)?;
        let mut queue: Vec<&Contents<'_>> = self.packages.iter().collect();
        // Popped from the end: the largest first, so that no thread is left alone with it.
        queue.sort_by_cached_key(|contents| contents.package.payload_length().unwrap_or(0));
        let (queue, stop) = (Mutex::new(queue), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let work = || {
                let next = || queue.lock().ok().and_then(|mut queue| queue.pop());
                while let Some(contents) = next().filter(|_| !stop.load(Ordering::Relaxed)) {
                    if let Err(error) = writer.unpack(contents) {
                        stop.store(true, Ordering::Relaxed);
                        return Err(error);
                    }
                }
                Ok(())
            };
            let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
            let mut result = Ok(());
            for worker in workers {
                let ended = worker.join();
                let ended = ended.unwrap_or_else(|_| bail!("unpacking a package panicked"));
                result = result.and(ended);
            }
            result
        })?;
        writer
            .finish_directories(&self.directories)
            .context("setting the times of directories")
    }
}
