//! Unpacks the files of packages into a tree.
//!
//! All packages of a batch are unpacked side by side, and yet the result does not depend on who comes first: every
//! path is claimed by one package before it is written ([`claims`]), by the rules that dpkg applies one after the
//! other. Nothing is flushed to disk. Every directory is opened by the kernel inside the root
//! (openat2(2) with `RESOLVE_IN_ROOT`), so that neither `..` nor a link of a package leads out of the tree.

mod accounts;
mod claims;
mod filter;
mod member;
pub(super) mod root;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result};

pub use self::accounts::Accounts;
pub use self::claims::Precedence;
use self::claims::{Children, Claims};
pub use self::filter::PathFilter;
use self::member::Writer;
use self::root::Root;
use super::archive::Archive;
use super::database::diversions::Diversions;

/// What a directory such as `/bin` is in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopLevel {
    /// What the packages ship: a directory, or a link.
    AsShipped,
    /// A link to its namesake in `/usr`, whatever the packages ship.
    MergedIntoUsr,
}

/// Where configuration files go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conffiles {
    /// To their place, if nothing is there: what unpacking the first packages of a tree does.
    InPlace,
    /// Beside their place, as dpkg leaves them until the package is configured.
    Aside,
}

/// One package of a batch.
pub struct Job<'a> {
    /// The package.
    pub archive: &'a Archive,
    /// Its number among all packages of the tree: what claims are made by, the lowest first.
    pub rank: usize,
    /// Its files, if they were decoded beforehand.
    pub decoded: Option<Vec<u8>>,
}

/// What a package brought.
#[derive(Debug, Default)]
pub struct Unpacked {
    /// Its paths, in the archive's order, as `info/*.list` has them.
    pub list: Vec<Vec<u8>>,
    /// Its configuration files and their MD5 digests; none for one that waits beside its place.
    pub conffiles: BTreeMap<Vec<u8>, Option<String>>,
    /// The MD5 digests of its files, if the package has no `md5sums`.
    pub md5sums: Option<String>,
    /// How many bytes of file content were written.
    pub bytes: u64,
}

/// Unpacks packages into one tree, batch after batch.
pub struct Unpacker<'a> {
    root: Root,
    claims: Claims<'a>,
    filter: PathFilter,
    /// Threads that work side by side.
    threads: usize,
}

impl<'a> Unpacker<'a> {
    /// Opens the tree. `precedence` says which of two packages a path belongs to: its first number is the rank of
    /// the one that came later.
    pub fn new(
        tree: &Path,
        top_level: TopLevel,
        filter: PathFilter,
        precedence: &'a (dyn Fn(usize, usize) -> Precedence + Sync),
    ) -> Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self {
            root: Root::open(tree, top_level)?,
            claims: Claims::new(precedence),
            filter,
            threads,
        })
    }

    /// Unpacks a batch on all processors; the results are in the order of the jobs.
    pub fn unpack(
        &self,
        jobs: Vec<Job<'_>>,
        conffiles: Conffiles,
        accounts: &Accounts,
        diversions: &Diversions,
    ) -> Result<Vec<Unpacked>> {
        let work = |job: Job<'_>, threads| {
            let name = job.archive.path().display().to_string();
            self.unpack_one(job, threads, conffiles, accounts, diversions)
                .with_context(|| format!("unpacking the package {name}"))
        };
        let unpacked = side_by_side(jobs, self.threads, |job| job.archive.data_length(), &work)?;
        match conffiles {
            Conffiles::InPlace => self.claims.keep_looks(),
            Conffiles::Aside => self.claims.set_times(&self.root, Children::Any)?,
        }
        Ok(unpacked)
    }

    /// To be called when the packages are unpacked that nothing can be run without: their directories get the times
    /// that `tar` gives them before dpkg puts files into them once more.
    pub fn finish_bootstrap(&self) -> Result<()> {
        self.claims.set_times(&self.root, Children::Files)
    }

    fn unpack_one(
        &self,
        job: Job<'_>,
        threads: u32,
        conffiles: Conffiles,
        accounts: &Accounts,
        diversions: &Diversions,
    ) -> Result<Unpacked> {
        let mut writer = Writer::new(self, &job, conffiles, accounts, diversions);
        let reader: Box<dyn Read + Send> = match job.decoded {
            Some(bytes) => Box::new(std::io::Cursor::new(bytes)),
            None => job.archive.data(threads)?,
        };
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries()? {
            writer.write(&mut entry.context("the archive is damaged")?)?;
        }
        // To the very end: the decoder compares checksums there.
        std::io::copy(&mut archive.into_inner(), &mut std::io::sink())
            .context("the archive is damaged")?;
        Ok(writer.finish())
    }

    /// Takes the paths that turned out to belong to another package out of a package's list.
    pub fn remove_lost(&self, rank: usize, list: &mut Vec<Vec<u8>>) {
        let lost = self.claims.lost(rank);
        list.retain(|path| !lost.contains(path));
    }
}

/// Decodes the files of packages into memory, largest first, until `budget` bytes are used or `stop` is set.
pub fn decode_ahead(
    archives: &[&Archive],
    budget: u64,
    threads: usize,
    stop: &AtomicBool,
) -> Vec<Option<Vec<u8>>> {
    let mut remaining = budget;
    let mut wanted: Vec<(usize, &Archive)> = archives.iter().copied().enumerate().collect();
    wanted.sort_by_key(|(_, archive)| std::cmp::Reverse(archive.data_length()));
    wanted.retain(|(_, archive)| {
        let size = archive.installed_size();
        let fits = size <= remaining;
        remaining -= if fits { size } else { 0 };
        fits
    });
    let next = AtomicUsize::new(0);
    let decoded: Mutex<Vec<Option<Vec<u8>>>> = Mutex::new(vec![None; archives.len()]);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, archive)) = wanted.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // An archive that can not be decoded is reported when it is its turn to be unpacked.
                    if let Ok(bytes) = decode(archive, stop) {
                        decoded.lock().expect("no thread panics with it")[*index] = bytes;
                    }
                }
            });
        }
    });
    decoded.into_inner().expect("no thread panics with it")
}

/// Decodes one package; nothing when told to stop, or when it is far larger than it says.
fn decode(archive: &Archive, stop: &AtomicBool) -> Result<Option<Vec<u8>>> {
    const PIECE: u64 = 1 << 20;
    let limit = archive.installed_size() * 2;
    let mut reader = archive.data(1)?;
    let mut bytes = Vec::new();
    loop {
        if stop.load(Ordering::Relaxed) || bytes.len() as u64 > limit {
            return Ok(None);
        }
        if reader.by_ref().take(PIECE).read_to_end(&mut bytes)? == 0 {
            return Ok(Some(bytes));
        }
    }
}

/// Works through items on threads, the largest first; the first error ends it.
///
/// The items at the front may use more than one thread each, so that one large package does not keep all waiting.
pub fn side_by_side<Item: Send, Output: Send>(
    items: Vec<Item>,
    threads: usize,
    size: impl Fn(&Item) -> u64,
    work: &(dyn Fn(Item, u32) -> Result<Output> + Sync),
) -> Result<Vec<Output>> {
    let total = items.len();
    let mut queue: Vec<(usize, u64, Item)> = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| (index, size(&item), item))
        .collect();
    let share = queue.iter().map(|(_, size, _)| size).sum::<u64>() / threads.max(1) as u64;
    queue.sort_by_key(|(_, size, _)| *size);
    let queue = Mutex::new(queue);
    let outputs: Mutex<Vec<Option<Output>>> = Mutex::new((0..total).map(|_| None).collect());
    let failure = Mutex::new(None);
    let worker = || {
        while failure.lock().expect("no thread panics with it").is_none() {
            let next = queue.lock().expect("no thread panics with it").pop();
            let Some((index, size, item)) = next else {
                return;
            };
            let decoders = if size * 2 > share { threads as u32 } else { 1 };
            match work(item, decoders) {
                Ok(output) => {
                    outputs.lock().expect("no thread panics with it")[index] = Some(output);
                }
                Err(error) => {
                    failure
                        .lock()
                        .expect("no thread panics with it")
                        .get_or_insert(error);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, total.max(1)) {
            scope.spawn(worker);
        }
    });
    if let Some(error) = failure.into_inner().expect("no thread panics with it") {
        return Err(error);
    }
    let outputs = outputs.into_inner().expect("no thread panics with it");
    Ok(outputs
        .into_iter()
        .map(|output| output.expect("every item was worked on"))
        .collect())
}
