//! Installs packages with the build root's `dnf`.

#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Context, Result};
use osbuild_stage_api::{ExitWith, StageContext, StageError, StageModule, TreeRoot};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::shared::fake_machine_id::FakeMachineId;
use crate::shared::hexadecimal::hexadecimal;
use crate::shared::package_repository::{Configuration, PackageRepository, id};
use crate::shared::places::check_places_of_dnf;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.dnf", include_str!("dnf.meta.json"), run);

const CACHE: &str = "/var/cache/dnf";
/// Random numbers that no two machines may share.
const RANDOM_SEED: &str = "/var/lib/systemd/random-seed";
/// So many hexadecimal digits of the address are in the name of a repository's cache.
const CACHE_DIGITS: usize = 16;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    repos: Vec<Value>,
    packages: Vec<String>,
    releasever: String,
    basearch: String,
    #[serde(default = "install")]
    operation: String,
    #[serde(default = "yes")]
    install_weak_deps: bool,
    #[serde(default = "yes")]
    fastestmirror: bool,
    #[serde(default)]
    exclude_packages: Vec<String>,
    module_platform_id: Option<String>,
}

fn install() -> String {
    "install".to_owned()
}

fn yes() -> bool {
    true
}

/// A repository whose metadata must have a checksum.
struct PinnedRepository {
    repository: PackageRepository,
    checksum: String,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let repositories = options
        .repos
        .iter()
        .map(PinnedRepository::new)
        .collect::<Result<Vec<_>>>()?;
    let tree = context.tree_path()?;
    check_places_of_dnf(context)?;
    let chroot = context.chroot_to_install()?;
    let machine_id = FakeMachineId::make_if_missing(&tree)?;
    install_packages(context, &options, &repositories)?;
    drop(chroot);
    for (number, repository) in repositories.iter().enumerate() {
        let found = repository.metadata_checksum(&tree, number, &options)?;
        if found != repository.checksum {
            context.log(format_args!(
                "error: repo was configured with checksum {}, but actually got {found}",
                repository.checksum
            ));
            return Err(ExitWith(1).into());
        }
    }
    empty_directory(&tree, CACHE.as_ref())?;
    machine_id.empty_if_made()?;
    tree.remove_file(RANDOM_SEED)?;
    Ok(())
}

fn install_packages(
    context: &StageContext,
    options: &Options,
    repositories: &[PinnedRepository],
) -> Result<()> {
    let platform = options.module_platform_id.as_ref();
    let main = platform.filter(|platform| !platform.is_empty());
    let main = main.map(|platform| format!("[main]\nmodule_platform_id={platform}\n"));
    let repositories: Vec<PackageRepository> = repositories
        .iter()
        .map(|pinned| pinned.repository.clone())
        .collect();
    let first = main.unwrap_or_default();
    let configuration = Configuration::write("dnf.conf", &first, &repositories)?;
    let excluded = options.exclude_packages.iter();
    context
        .command("dnf")
        .args(["-yv", "--installroot"])
        .arg(context.tree())
        .args(["--forcearch", &options.basearch])
        .args(["--setopt", "reposdir="])
        .args([
            "--setopt",
            &setting("install_weak_deps", options.install_weak_deps),
        ])
        .args(["--setopt", &setting("fastestmirror", options.fastestmirror)])
        .args(["--setopt", "skip_if_unavailable=false"])
        .args(["--releasever", &options.releasever])
        .arg("--noplugins")
        .arg("--config")
        .arg(configuration.path())
        .arg(&options.operation)
        .args(&options.packages)
        .args(excluded.flat_map(|package| ["--exclude", package]))
        .run()
}

fn setting(name: &str, is_on: bool) -> String {
    format!("{name}={}", if is_on { "True" } else { "False" })
}

impl PinnedRepository {
    fn new(value: &Value) -> Result<Self> {
        if let Value::String(checksum) = value {
            let text = format!("no source describes the repository {checksum}");
            return Err(StageError::new("RuntimeError", text).into());
        }
        let repository: PackageRepository =
            serde_json::from_value(value.clone()).context("reading the stage's options")?;
        let checksum = value.get("checksum").and_then(Value::as_str);
        let digits = checksum.and_then(|checksum| checksum.strip_prefix("sha256:"));
        Ok(Self {
            repository,
            checksum: digits
                .context("a repository has no SHA-256 checksum")?
                .to_owned(),
        })
    }

    /// Takes the checksum of the metadata that dnf has used.
    fn metadata_checksum(
        &self,
        tree: &TreeRoot,
        number: usize,
        options: &Options,
    ) -> Result<String> {
        let directory = self.cache_directory(number, options)?;
        let metadata = tree.read(format!("{CACHE}/{directory}/repodata/repomd.xml"))?;
        Ok(hexadecimal(&Sha256::digest(metadata)))
    }

    /// What libdnf calls the cache of a repository: after its address, in which it knows two variables.
    fn cache_directory(&self, number: usize, options: &Options) -> Result<String> {
        let address = self.repository.address();
        let address = address
            .with_context(|| format!("the repository {} has no address", id(number)))?
            .replace("$basearch", &options.basearch)
            .replace("$releasever", &options.releasever);
        let digits = hexadecimal(&Sha256::digest(address));
        Ok(format!("{}-{}", id(number), &digits[..CACHE_DIGITS]))
    }
}

/// `dnf clean` leaves things behind.
fn empty_directory(tree: &TreeRoot, directory: &Path) -> Result<()> {
    for name in tree.read_dir(directory)? {
        let path = directory.join(name);
        let stat = tree.lstat(&path)?;
        if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() {
            empty_directory(tree, &path)?;
            tree.remove_dir(&path)?;
        } else {
            tree.remove_file(&path)?;
        }
    }
    Ok(())
}
