//! The transaction.

use std::io::Write as _;

use anyhow::{Context, Result};
use osbuild_packages::rpm::digests::{CheckedPayload, Digests};
use osbuild_packages::rpm::package::Package;
use osbuild_packages::rpm::unpack::Plan;
use osbuild_stage_api::Command;
use rayon::prelude::*;

use super::Options;
use super::programs::Programs;
use super::shortcut;

/// Has rpm verify nothing before it begins: what it would verify is verified here, at the same time.
const VERIFY_NOTHING: [&str; 2] = ["--define", "_pkgverify_level none"];

/// What rpm was told to leave to this stage.
const DATABASE_ONLY: [&str; 2] = [
    "--justdb",
    // What is unpacked meanwhile would be taken for space that is missing.
    "--ignoresize",
];

/// Installs the packages of the input.
pub(super) fn install(
    programs: &Programs<'_>,
    options: &Options,
    environment: &[(&str, &str)],
) -> Result<()> {
    let input = programs.context.input("packages")?;
    let names: Vec<&str> = input.files().map(|(name, _)| name).collect();
    let packages: Vec<Package> = names
        .par_iter()
        .map(|name| Package::open(&input.path().join(name)))
        .collect::<Result<_>>()?;
    let manifest = manifest(&names)?;
    let transaction = Transaction {
        programs,
        options,
        environment,
        manifest: &manifest,
    };
    match shortcut::plan(programs, options, &packages)? {
        Plan::Unpack(unpacking) => {
            let threads = processors();
            let unpack = || unpacking.unpack(programs.context.tree(), threads);
            let further = [VERIFY_NOTHING, DATABASE_ONLY].concat();
            side_by_side(unpack, || transaction.command(&further)?.run())?;
            shortcut::check(programs, &packages)
        }
        Plan::LeaveToRpm(reason) => {
            let context = programs.context;
            context.log(format_args!("rpm unpacks the packages: {reason}"));
            if all_digests_are_known(&packages)? {
                let verify = || verify(&packages);
                side_by_side(verify, || transaction.command(&VERIFY_NOTHING)?.run())
            } else {
                transaction.command(&[])?.run()
            }
        }
    }
}

/// Files can be more than an argument list takes.
fn manifest(names: &[&str]) -> Result<tempfile::NamedTempFile> {
    let text = names
        .iter()
        .fold(String::new(), |text, name| text + name + "\n");
    let mut file = tempfile::NamedTempFile::with_prefix("manifest.").context("listing packages")?;
    file.write_all(text.as_bytes())
        .context("listing packages")?;
    Ok(file)
}

/// A call of rpm that installs everything.
struct Transaction<'a> {
    programs: &'a Programs<'a>,
    options: &'a Options,
    environment: &'a [(&'a str, &'a str)],
    manifest: &'a tempfile::NamedTempFile,
}

impl Transaction<'_> {
    fn command(&self, further: &[&str]) -> Result<Command> {
        let context = self.programs.context;
        let input = context.input("packages")?;
        let mut command = self.programs.rpm(&["--verbose"]);
        for (name, value) in self.environment {
            command = command.env(name, value);
        }
        Ok(command
            .args(self.arguments())
            .args(further)
            // Signatures were checked where they are asked for; digests still are.
            .args(["--nosignature", "--install"])
            .arg(self.manifest.path())
            .current_dir(input.path()))
    }

    fn arguments(&self) -> Vec<String> {
        let options = self.options;
        let mut arguments = Vec::new();
        if options.exclude.docs {
            arguments.push("--excludedocs".to_owned());
        }
        if options.nodeps {
            arguments.push("--nodeps".to_owned());
        }
        if !options.install_langs.is_empty() {
            let macro_line = format!("%_install_langs {}", options.install_langs.join(":"));
            let context = self.programs.context;
            context.log(format_args!("using '{macro_line}'"));
            arguments.extend(["--define".to_owned(), macro_line]);
        }
        if options.ignorearch {
            arguments.push("--ignorearch".to_owned());
        }
        arguments
    }
}

fn all_digests_are_known(packages: &[Package]) -> Result<bool> {
    for package in packages {
        if Digests::begin(package)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Verifies the packages on the processors that rpm leaves free.
fn verify(packages: &[Package]) -> Result<()> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads((processors() - 1).max(1))
        .build()
        .context("starting threads")?;
    let verify = |package: &Package| CheckedPayload::open(package)?.finish();
    pool.install(|| packages.par_iter().try_for_each(verify))
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Runs rpm, and does something else meanwhile. A package that is not what it should be fails the stage whatever rpm
/// made of it.
fn side_by_side(
    work: impl FnOnce() -> Result<()> + Send,
    rpm: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let (worked, installed) = std::thread::scope(|scope| {
        let worker = scope.spawn(work);
        let installed = rpm();
        (worker.join(), installed)
    });
    worked.map_err(|_| anyhow::anyhow!("working beside rpm panicked"))??;
    installed
}
