//! Installs Debian packages.
//!
//! The way of a bootstrap, with dpkg's rules:
//!
//! 1. Everything is read and checked; the tree is not touched before that succeeds.
//! 2. The essential packages and all they need are unpacked side by side and registered, their `preinst` scripts run,
//!    and the tree's dpkg configures them. Meanwhile the other archives are decoded into memory.
//! 3. The other packages follow in batches, nearly always one: their `preinst` scripts run, in order, then their files
//!    are unpacked side by side, diversions respected, and dpkg configures all. A package waits for what it pre-depends
//!    on to be configured.
//! 4. The initramfs is made, once, and what is not meant to stay is removed.

mod cleaning;
mod environment;
mod failure;
mod initramfs;
mod scripts;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use osbuild_packages::deb::archive::Archive;
use osbuild_packages::deb::database::diversions::Diversions;
use osbuild_packages::deb::database::package_set::{Batch, PackageSet};
use osbuild_packages::deb::database::{self, Database};
use osbuild_packages::deb::unpack::{
    Accounts, Conffiles, Job, PathFilter, Precedence, TopLevel, Unpacker, decode_ahead,
    side_by_side,
};
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::json;

use self::environment::{Environment, Triggers};
use crate::shared::no_sync::without_sync;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.deb", include_str!("deb.meta.json"), run);

/// How much is decoded ahead, while the essential packages are configured.
const DECODED_AHEAD: u64 = 768 << 20;
/// Packages that come with a merged `/usr`.
const USR_MERGE: [&str; 2] = ["usrmerge", "usr-is-merged"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    debconf: Vec<String>,
    #[serde(default)]
    scripts: Scripts,
}

/// What of the packages' own programs is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scripts {
    /// Everything that configures them.
    #[default]
    Run,
    /// Nothing: a tree of programs for a build root, not a system to boot.
    Skip,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let clock = Clock::start(context);
    let packages = read_packages(context)?;
    packages.check()?;
    ensure!(
        !database::has_packages(context.tree())?,
        "the tree has packages already: one stage installs all packages of a tree"
    );
    clock.lap(format_args!("read {} packages", packages.archives().len()));
    without_sync(|| {
        let precedence = |later, earlier| packages.precedence_of_ranks(later, earlier);
        let scripts = options.scripts;
        let install = Install::new(context, &packages, options, clock, &precedence)?;
        match scripts {
            Scripts::Run => install.all(),
            Scripts::Skip => install.unpack_only(),
        }
    })?;
    context.write_metadata(&metadata(&packages))
}

fn read_packages(context: &StageContext) -> Result<PackageSet> {
    let input = context.input("packages")?;
    let mut paths: Vec<PathBuf> = input
        .files()
        .map(|(name, _)| input.path().join(name))
        .collect();
    paths.sort();
    ensure!(!paths.is_empty(), "the input `packages` has no files");
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let archives = side_by_side(paths, threads, |_| 0, &|path, _| Archive::open(&path))?;
    PackageSet::new(archives)
}

fn metadata(packages: &PackageSet) -> serde_json::Value {
    let one = |archive: &Archive| {
        json!({
            "name": archive.package(),
            "version": archive.version(),
            "architecture": archive.architecture(),
        })
    };
    json!({"packages": packages.archives().iter().map(one).collect::<Vec<_>>()})
}

/// Tells in the log where the time goes.
#[derive(Clone, Copy)]
struct Clock<'a> {
    context: &'a StageContext,
    start: Instant,
}

impl<'a> Clock<'a> {
    fn start(context: &'a StageContext) -> Self {
        Self {
            context,
            start: Instant::now(),
        }
    }

    fn lap(&self, what: impl std::fmt::Display) {
        let seconds = self.start.elapsed().as_secs_f64();
        self.context.log(format_args!("[{seconds:6.2} s] {what}"));
    }
}

/// An installation under way.
struct Install<'a> {
    context: &'a StageContext,
    packages: &'a PackageSet,
    clock: Clock<'a>,
    debconf: Vec<String>,
    unpacker: Unpacker<'a>,
    database: Database,
    /// Made once there is something to run.
    environment: Option<Environment<'a>>,
    configured: BTreeSet<usize>,
    /// Archives decoded while dpkg was busy, by package.
    decoded: Vec<Option<Vec<u8>>>,
}

impl<'a> Install<'a> {
    fn new(
        context: &'a StageContext,
        packages: &'a PackageSet,
        options: Options,
        clock: Clock<'a>,
        precedence: &'a (dyn Fn(usize, usize) -> Precedence + Sync),
    ) -> Result<Self> {
        let is_merged = packages
            .archives()
            .iter()
            .any(|one| USR_MERGE.contains(&one.package()));
        let top_level = if is_merged {
            TopLevel::MergedIntoUsr
        } else {
            TopLevel::AsShipped
        };
        let filter = PathFilter::new(options.exclude, options.include);
        let tree = context.tree();
        Ok(Self {
            context,
            packages,
            clock,
            debconf: options.debconf,
            unpacker: Unpacker::new(tree, top_level, filter, precedence)?,
            database: Database::create(tree, packages.native(), &packages.architectures())?,
            environment: None,
            configured: BTreeSet::new(),
            decoded: packages.archives().iter().map(|_| None).collect(),
        })
    }

    /// Unpacks and configures everything.
    fn all(mut self) -> Result<()> {
        let essential = self.packages.essential()?;
        let batches = self.packages.batches(&essential)?;
        self.essential(&essential, &batches)?;
        for (index, batch) in batches.iter().enumerate() {
            self.batch(batch, index + 1 == batches.len())?;
        }
        self.finish()
    }

    /// Unpacks everything and leaves it at that: dpkg's status says `unpacked`.
    fn unpack_only(mut self) -> Result<()> {
        let all: BTreeSet<usize> = self.packages.order().iter().copied().collect();
        self.unpack_base_first(&all)?;
        cleaning::clean(&self.context.tree_path()?)?;
        self.clock.lap("done, nothing was configured");
        Ok(())
    }

    /// Unpacks a first set of packages; gives it in the order in which it is to be configured.
    fn unpack_base_first(&mut self, packages: &BTreeSet<usize>) -> Result<Vec<usize>> {
        let ordered: Vec<usize> = self
            .packages
            .order()
            .iter()
            .copied()
            .filter(|index| packages.contains(index))
            .collect();
        let (base, others): (Vec<usize>, Vec<usize>) = ordered
            .iter()
            .partition(|&&index| self.archive(index).package() == "base-files");
        // The links and directories at the root before anything that goes through them.
        self.unpack(&base, Conffiles::InPlace)?;
        self.unpack(&others, Conffiles::InPlace)?;
        self.unpacker.finish_bootstrap()?;
        Ok(ordered)
    }

    fn archive(&self, index: usize) -> &'a Archive {
        &self.packages.archives()[index]
    }

    /// Unpacks and configures what all others rely on; decodes the next batch meanwhile.
    fn essential(&mut self, essential: &BTreeSet<usize>, batches: &[Batch]) -> Result<()> {
        let ordered = self.unpack_base_first(essential)?;
        let environment = Environment::enter(self.context, self.packages.dpkg())?;
        // Accounts first: other scripts look up who they are.
        let (accounts, rest): (Vec<usize>, Vec<usize>) = ordered
            .iter()
            .partition(|&&index| self.archive(index).package() == "base-passwd");
        for index in accounts.into_iter().chain(rest) {
            environment.preinst(&self.database, self.archive(index))?;
        }
        environment.set_debconf(&self.debconf)?;
        self.environment = Some(environment);
        let next = batches.first().map_or(&[][..], |batch| &batch.unpack);
        self.configure_while_decoding(next)?;
        self.configured.extend(essential);
        self.clock.lap(format_args!(
            "configured {} essential packages",
            essential.len()
        ));
        Ok(())
    }

    fn configure_while_decoding(&mut self, next: &[usize]) -> Result<()> {
        let archives: Vec<&Archive> = next.iter().map(|&index| self.archive(index)).collect();
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let stop = AtomicBool::new(false);
        let environment = self.environment()?;
        let (configured, decoded) = std::thread::scope(|scope| {
            let (archives, stop) = (&archives, &stop);
            // One processor is dpkg's.
            let decoding = scope
                .spawn(move || decode_ahead(archives, DECODED_AHEAD, (threads - 1).max(1), stop));
            let configured = environment.configure(&[], Triggers::Run);
            stop.store(true, Ordering::Relaxed);
            (configured, decoding.join())
        });
        configured?;
        let decoded = decoded.map_err(|_| anyhow::anyhow!("decoding packages panicked"))?;
        for (&index, bytes) in next.iter().zip(decoded) {
            self.decoded[index] = bytes;
        }
        Ok(())
    }

    /// Unpacks a batch and configures what has to be.
    fn batch(&mut self, batch: &Batch, is_last: bool) -> Result<()> {
        for &index in &batch.unpack {
            self.environment()?
                .preinst(&self.database, self.archive(index))?;
        }
        self.unpack(&batch.unpack, Conffiles::Aside)?;
        if is_last {
            self.environment()?.configure(&[], Triggers::Run)?;
            self.clock.lap("configured all packages");
        } else if !batch.configure.is_empty() {
            let names: Vec<String> = batch
                .configure
                .iter()
                .map(|&index| self.database.qualified_name(self.archive(index)))
                .collect();
            self.environment()?.configure(&names, Triggers::Later)?;
            self.configured.extend(&batch.configure);
            self.clock
                .lap(format_args!("configured {} packages", names.len()));
        }
        Ok(())
    }

    fn unpack(&mut self, indices: &[usize], conffiles: Conffiles) -> Result<()> {
        let tree = self.context.tree();
        let jobs = indices
            .iter()
            .map(|&index| Job {
                archive: self.archive(index),
                rank: self.packages.rank(index),
                decoded: self.decoded[index].take(),
            })
            .collect();
        let (accounts, diversions) = (Accounts::read(tree)?, Diversions::read(tree)?);
        let mut unpacked = self
            .unpacker
            .unpack(jobs, conffiles, &accounts, &diversions)?;
        for (one, &index) in unpacked.iter_mut().zip(indices) {
            self.unpacker
                .remove_lost(self.packages.rank(index), &mut one.list);
        }
        let packages: Vec<_> = indices
            .iter()
            .map(|&index| self.archive(index))
            .zip(&unpacked)
            .collect();
        let configured: BTreeSet<String> = self
            .configured
            .iter()
            .map(|&index| self.database.qualified_name(self.archive(index)))
            .collect();
        self.database
            .add(&packages, &|name| configured.contains(name))?;
        let bytes: u64 = unpacked.iter().map(|one| one.bytes).sum();
        self.clock.lap(format_args!(
            "unpacked {} packages, {} MB",
            indices.len(),
            bytes / 1_000_000
        ));
        Ok(())
    }

    fn environment(&self) -> Result<&Environment<'a>> {
        self.environment
            .as_ref()
            .context("there is nothing to run programs in yet")
    }

    fn finish(mut self) -> Result<()> {
        let environment = self.environment.take().context("nothing was installed")?;
        if environment.make_initramfs()? {
            self.clock.lap("made the initramfs");
        }
        environment.remove_scratch()?;
        drop(environment);
        cleaning::clean(&self.context.tree_path()?)?;
        self.clock.lap("done");
        Ok(())
    }
}
