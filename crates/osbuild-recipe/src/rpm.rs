//! Chooses RPM packages from the repositories that a recipe names.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use osbuild_packages::deb::download::{Download, FetchDownload};
use osbuild_packages::rpm::repository::{Available, LoadOptions, Repository as Loaded};
use osbuild_packages::rpm::solve::{SolveRequest, Universe, solve as choose};

use crate::distribution::PackageKind;
use crate::lock::{LockedPackage, LockedRepository};
use crate::recipe::Repository;
use crate::solve::{PackageRequest, PackageSolver, PackageSources, Solution};

/// Chooses RPM packages; reads repositories at the first of their addresses.
pub struct RpmSolver {
    cache: PathBuf,
}

impl RpmSolver {
    /// A solver that keeps package lists in a folder.
    pub fn new(cache: &Path) -> Self {
        Self {
            cache: cache.to_owned(),
        }
    }
}

impl PackageSolver for RpmSolver {
    fn solve(&self, sources: &PackageSources, requests: &[PackageRequest]) -> Result<Solution> {
        let download = FetchDownload::default();
        let options = LoadOptions {
            download: &download as &dyn Download,
            cache: &self.cache,
            architecture: sources.architecture.word_for(PackageKind::Rpm),
        };
        let mut repositories = Vec::new();
        let mut available = Vec::new();
        let mut date = 0;
        for repository in &sources.repositories {
            let address = address(repository)?;
            let loaded = Loaded::load(address, &options)?;
            date = date.max(loaded.date);
            repositories.push(LockedRepository {
                address: address.to_owned(),
                suite: None,
                date: loaded.revision,
                in_release_sha256: None,
                repomd_sha256: Some(loaded.repomd_sha256),
            });
            available.extend(loaded.packages);
        }
        let universe = Universe::new(available);
        let packages = requests.iter().map(|request| {
            let wanted = SolveRequest {
                include: request.include.clone(),
                exclude: request.exclude.clone(),
            };
            let chosen = choose(&universe, &wanted)
                .with_context(|| format!("choosing packages for {}", request.purpose))?;
            let chosen = chosen.into_iter();
            Ok(chosen
                .map(|package| locked(package, &sources.repositories))
                .collect())
        });
        Ok(Solution {
            repositories,
            packages: packages.collect::<Result<_>>()?,
            date,
        })
    }
}

fn address(repository: &Repository) -> Result<&str> {
    let first = repository.mirrors.first();
    first
        .map(String::as_str)
        .context("a repository has no address")
}

/// The package with all its addresses: mirrors have the same content.
fn locked(package: &Available, repositories: &[Repository]) -> LockedPackage {
    let others = repositories.iter().find_map(|repository| {
        let (first, others) = repository.mirrors.split_first()?;
        let rest = package.url.strip_prefix(first.as_str())?;
        let rest = rest.strip_prefix('/')?;
        Some(others.iter().map(move |mirror| format!("{mirror}/{rest}")))
    });
    LockedPackage {
        name: package.name.clone(),
        version: package.evr.to_string(),
        architecture: package.architecture.clone(),
        urls: std::iter::once(package.url.clone())
            .chain(others.into_iter().flatten())
            .collect(),
        sha256: package.sha256.clone(),
        size: package.size,
    }
}
