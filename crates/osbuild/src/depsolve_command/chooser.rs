//! Reads repositories and chooses packages from them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use osbuild_fetch::{FetchOptions, Proxy};
use osbuild_manifest::checkpoint::matches_pattern;
use osbuild_packages::deb::download::{Download, FetchDownload};
use osbuild_packages::rpm::dependency::Requirement;
use osbuild_packages::rpm::repository::{Available, LoadOptions, Repository as Loaded};
use osbuild_packages::rpm::solve::{SolveRequest, Universe, solve};

use super::Refusal;
use super::request::{Repository, Request, Transaction};
use super::specs::{Wanted, matches, resolve};

/// The folder for lists of packages in the one that a request names, where dnf keeps files of its own.
const CACHE: &str = "osbuild-depsolve";
/// The name of a package that is not there, and needs what was asked for by what provides it.
const REQUEST: &str = "the request";
/// The longest key that is read, in bytes.
const LARGEST_KEY: u64 = 1 << 20;

/// A package and the repository it comes from, by number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chosen<'a> {
    pub(super) package: &'a Available,
    pub(super) repository: &'a Repository,
}

pub(super) struct Chooser<'a> {
    repositories: &'a [Repository],
    download: FetchDownload,
    /// With the number of the repository.
    packages: Vec<(usize, Available)>,
}

impl<'a> Chooser<'a> {
    /// Reads the repositories of a request.
    pub(super) fn load(request: &'a Request) -> Result<Self, Refusal> {
        let mut options = FetchOptions::default();
        if let Some(proxy) = &request.proxy {
            options.proxy = Proxy::Url(proxy.clone());
        }
        let mut chooser = Self {
            repositories: &request.repositories,
            download: FetchDownload { options },
            packages: Vec::new(),
        };
        let cache = request.cache.join(CACHE);
        let enabled = request.repositories.iter().enumerate();
        let enabled: Vec<_> = enabled
            .filter(|(_, repository)| repository.is_enabled)
            .collect();
        if enabled.is_empty() {
            return Err(Refusal {
                kind: "NoReposError",
                reason:
                    "There was a problem finding repositories: There are no enabled repositories"
                        .to_owned(),
            });
        }
        for (number, repository) in enabled {
            let options = LoadOptions {
                download: &chooser.download as &dyn Download,
                cache: &cache,
                architecture: &request.architecture,
            };
            match read(repository, &options) {
                Ok(loaded) => {
                    let packages = loaded.packages.into_iter();
                    chooser
                        .packages
                        .extend(packages.map(|package| (number, package)));
                }
                Err(error) if repository.may_be_missing => {
                    tracing::warn!("left out: {error:#}");
                }
                Err(error) => return Err(Refusal::repository(&error)),
            }
        }
        Ok(chooser)
    }

    /// The keys of a repository, wherever they are.
    pub(super) fn keys(&self, repository: &Repository) -> Result<Vec<String>, Refusal> {
        let keys = repository.keys.iter().map(|key| self.key(key));
        keys.collect()
    }

    fn key(&self, key: &str) -> Result<String, Refusal> {
        let wrong = |reason: String| Refusal {
            kind: "GPGKeyReadError",
            reason,
        };
        if key.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----") {
            return Ok(key.to_owned());
        }
        let scheme = key.split_once("://").map_or("", |(scheme, _)| scheme);
        if !["file", "http", "https"].contains(&scheme) {
            let reason = format!("unknown url scheme for gpg key: {scheme} ({key})");
            return Err(wrong(reason));
        }
        let failed =
            |error: &anyhow::Error| wrong(format!("error loading gpg key from {key}: {error:#}"));
        let content = self.download.download(key, LARGEST_KEY);
        let content = content.and_then(|content| content.context("it does not exist"));
        let content = content.map_err(|error| failed(&error))?;
        String::from_utf8(content).map_err(|error| failed(&error.into()))
    }

    fn chosen<'b>(&'b self, (number, package): &'b (usize, Available)) -> Chosen<'b> {
        Chosen {
            package,
            repository: &self.repositories[*number],
        }
    }

    /// All packages of all repositories.
    pub(super) fn all(&self) -> Vec<Chosen<'_>> {
        self.packages
            .iter()
            .map(|package| self.chosen(package))
            .collect()
    }

    /// Packages by name, as upstream's tool searches; of each only the newest if `is_latest`.
    pub(super) fn search(&self, names: &[String], is_latest: bool) -> Vec<Chosen<'_>> {
        let mut found = Vec::new();
        for name in names {
            let mut packages = self.all();
            packages.retain(|chosen| is_meant(name, &chosen.package.name));
            if is_latest {
                retain_latest(&mut packages);
            }
            found.extend(packages);
        }
        found
    }

    /// What each transaction adds up to, those before it included, sorted as upstream's tool sorts.
    pub(super) fn depsolve(
        &self,
        transactions: &[Transaction],
    ) -> Result<Vec<Vec<Chosen<'_>>>, Refusal> {
        let all = transactions
            .iter()
            .flat_map(|transaction| &transaction.specs);
        let all: Vec<&str> = all.map(String::as_str).collect();
        let mut results: Vec<Vec<Chosen<'_>>> = Vec::new();
        for transaction in transactions {
            let before = results.last().map_or(&[] as &[_], Vec::as_slice);
            let chosen = self.choose(transaction, before, &all.join(", "))?;
            results.push(chosen);
        }
        Ok(results)
    }

    fn choose(
        &self,
        transaction: &Transaction,
        before: &[Chosen<'_>],
        all: &str,
    ) -> Result<Vec<Chosen<'_>>, Refusal> {
        let is_allowed = |chosen: &Chosen<'_>| {
            let id = &chosen.repository.id;
            let Transaction {
                repositories,
                exclude,
                ..
            } = transaction;
            (repositories.is_empty() || repositories.contains(id))
                && !exclude.iter().any(|spec| matches(spec, chosen.package))
        };
        let mut available = self.all();
        available.retain(is_allowed);
        let before: Vec<&Available> = before.iter().map(|chosen| chosen.package).collect();
        let packages: Vec<&Available> = available.iter().map(|chosen| chosen.package).collect();
        let (mut include, needs) = wanted(&transaction.specs, &packages)?;
        include.extend(before.iter().map(|package| exact(package)));
        let mut universe: Vec<Available> = before.into_iter().cloned().collect();
        universe.extend(packages.into_iter().cloned());
        if !needs.is_empty() {
            include.push(REQUEST.to_owned());
            universe.push(Available {
                name: REQUEST.to_owned(),
                requires: needs,
                ..Available::default()
            });
        }
        let request = SolveRequest {
            include,
            exclude: Vec::new(),
        };
        let universe = Universe::new(universe);
        let solved = solve(&universe, &request).map_err(|error| Refusal {
            kind: "DepsolveError",
            reason: format!("There was a problem depsolving {all}: {error}"),
        })?;
        Ok(self.sorted(&solved))
    }

    /// Packages with their repositories, by name, epoch, version, release and architecture as text.
    fn sorted(&self, packages: &[&Available]) -> Vec<Chosen<'_>> {
        let urls: BTreeSet<&str> = packages
            .iter()
            .map(|package| package.url.as_str())
            .collect();
        let mut sorted = BTreeMap::new();
        for chosen in self.all() {
            if urls.contains(chosen.package.url.as_str()) {
                sorted.entry(full_name(chosen.package)).or_insert(chosen);
            }
        }
        sorted.into_values().collect()
    }
}

fn read(repository: &Repository, options: &LoadOptions<'_>) -> Result<Loaded> {
    let mut failed = anyhow::anyhow!("it has no address");
    for address in &repository.addresses {
        match Loaded::load_everything(address.trim_end_matches('/'), options) {
            Ok(loaded) => return Ok(loaded),
            Err(error) => failed = error,
        }
    }
    Err(failed.context(format!("repository `{}`", repository.id)))
}

/// What specs ask for: packages, and what has to be provided.
fn wanted(
    specs: &[String],
    packages: &[&Available],
) -> Result<(Vec<String>, Vec<Requirement>), Refusal> {
    let (mut include, mut needs, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for spec in specs {
        if spec.starts_with('@') {
            return Err(Refusal::missing("choosing groups and modules (`@`)"));
        }
        match resolve(spec, packages) {
            Wanted::Packages(found) => include.extend(found),
            Wanted::Provider(need) => needs.push(need),
            Wanted::Nothing => missing.push(spec.as_str()),
        }
    }
    if missing.is_empty() {
        return Ok((include, needs));
    }
    let missing = missing.join(", ");
    Err(Refusal {
        kind: "MarkingErrors",
        reason: format!(
            "Error occurred when marking packages for installation: Problems in request:\n\
             missing packages: {missing}"
        ),
    })
}

/// The spec of exactly one package.
fn exact(package: &Available) -> String {
    format!("{}={}", package.name, package.evr)
}

fn full_name(package: &Available) -> String {
    let evr = &package.evr;
    let release = evr.release.as_deref().unwrap_or_default();
    format!(
        "{}-{}:{}-{release}.{}",
        package.name, evr.epoch, evr.version, package.architecture
    )
}

/// Whether a search means a name: `*text*` is text in it, other patterns are those of a shell.
fn is_meant(pattern: &str, name: &str) -> bool {
    if pattern.starts_with('*') && pattern.ends_with('*') {
        name.contains(&pattern.replace('*', ""))
    } else if pattern.contains('*') {
        matches_pattern(name, pattern)
    } else {
        name == pattern
    }
}

/// Keeps the newest of each name and architecture.
fn retain_latest(packages: &mut Vec<Chosen<'_>>) {
    let all = packages.clone();
    packages.retain(|one| {
        let one = one.package;
        !all.iter().any(|other| {
            let other = other.package;
            (&one.name, &one.architecture) == (&other.name, &other.architecture)
                && other.evr.compare(&one.evr).is_gt()
        })
    });
}
