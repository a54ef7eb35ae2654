//! Chooses every package a recipe needs, by a solver behind a small interface.

use anyhow::{Context, Result};
use serde::Serialize;

use crate::distribution::{Architecture, PackageKind, Release};
use crate::lock::{
    LOCK_VERSION, Lock, LockedPackage, LockedPackages, LockedRepository, PackageDigests, digest,
};
use crate::recipe::{Base, BuildRoot, Recipe, Repository};
use crate::requirement::{build_packages, system_packages};

/// Answers which packages satisfy a request.
pub trait PackageSolver {
    /// Reads the repositories once and solves each request against them, into an empty root.
    fn solve(&self, sources: &PackageSources, requests: &[PackageRequest]) -> Result<Solution>;
}

/// Asks the solver for the kind of packages.
pub struct SolverOfKind<D, R> {
    /// For Debian's packages.
    pub deb: D,
    /// For RPM's.
    pub rpm: R,
}

impl<D: PackageSolver, R: PackageSolver> PackageSolver for SolverOfKind<D, R> {
    fn solve(&self, sources: &PackageSources, requests: &[PackageRequest]) -> Result<Solution> {
        match sources.release.packages() {
            PackageKind::Deb => self.deb.solve(sources, requests),
            PackageKind::Rpm => self.rpm.solve(sources, requests),
        }
    }
}

/// Where packages may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageSources {
    /// Distribution and release.
    pub release: Release,
    /// Architecture of the packages.
    pub architecture: Architecture,
    /// Repositories the recipe names, their keyrings as absolute paths; empty for the host's own.
    pub repositories: Vec<Repository>,
}

/// Packages wanted in one root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageRequest {
    /// What it is for, in messages.
    pub purpose: &'static str,
    /// What is installed before anything is asked for; none for nothing but what is named and what that needs.
    pub base: Option<Base>,
    /// Names to install, each perhaps with `=` and a version, in the order apt would be given them.
    pub include: Vec<String>,
    /// Names not to install.
    pub exclude: Vec<String>,
}

/// What a solver found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Solution {
    /// The suites that were read.
    pub repositories: Vec<LockedRepository>,
    /// The packages of each request, in the requests' order.
    pub packages: Vec<Vec<LockedPackage>>,
    /// Latest date among the suites, in seconds since 1970.
    pub date: i64,
}

/// The part of a recipe that decides which packages are chosen.
#[derive(Serialize)]
struct SolvingPart<'a> {
    distribution: &'static str,
    release: &'static str,
    architecture: &'static str,
    repositories: Vec<(&'a [String], &'a [String], &'a [String])>,
    requests: &'a [PackageRequest],
}

/// The requests a recipe makes: its system, and its build root unless the host's is used.
pub fn package_requests(recipe: &Recipe) -> Vec<PackageRequest> {
    let mut requests = vec![PackageRequest {
        purpose: "the system",
        base: recipe.packages.base,
        include: system_packages(recipe),
        exclude: recipe.packages.exclude.clone(),
    }];
    let build = build_packages(recipe);
    if recipe.build == BuildRoot::Own && !build.is_empty() {
        requests.push(PackageRequest {
            purpose: "the build root",
            // Nothing is configured there, so not even the essential packages are missed.
            base: None,
            include: build,
            exclude: Vec::new(),
        });
    }
    requests
}

/// Digest of all that decides which packages are chosen; a lock with another digest is stale.
pub(crate) fn solving_digest(recipe: &Recipe) -> String {
    let requests = package_requests(recipe);
    let part = SolvingPart {
        distribution: recipe.release.distribution().word(),
        release: recipe.release.code_name(),
        architecture: recipe.architecture_word(),
        repositories: recipe
            .repositories
            .iter()
            .map(|repository| {
                let Repository {
                    mirrors,
                    suites,
                    components,
                    ..
                } = repository;
                (mirrors.as_slice(), suites.as_slice(), components.as_slice())
            })
            .collect(),
        requests: &requests,
    };
    let text = serde_json::to_string(&part).expect("text, lists and booleans are always JSON");
    digest(text.as_bytes())
}

/// Chooses and pins every package of a recipe.
pub fn solve(recipe: &Recipe, solver: &dyn PackageSolver) -> Result<Lock> {
    let requests = package_requests(recipe);
    let solution = solver
        .solve(&package_sources(recipe), &requests)
        .with_context(|| format!("choosing packages for {}", recipe.path.display()))?;
    let mut lists = solution.packages.into_iter().map(in_order);
    let packages = LockedPackages {
        system: lists.next().unwrap_or_default(),
        build: lists.next().unwrap_or_default(),
    };
    Ok(Lock {
        lock_version: LOCK_VERSION,
        recipe_digest: solving_digest(recipe),
        distribution: recipe.release.distribution().word().to_owned(),
        release: recipe.release.code_name().to_owned(),
        architecture: recipe.architecture_word().to_owned(),
        source_epoch: solution.date,
        repositories: solution.repositories,
        package_digests: PackageDigests::of(&packages),
        packages,
    })
}

fn package_sources(recipe: &Recipe) -> PackageSources {
    let folder = recipe.folder();
    let repositories = recipe
        .repositories
        .iter()
        .cloned()
        .map(|mut repository| {
            repository.keyring = folder.join(&repository.keyring);
            repository
        })
        .collect();
    PackageSources {
        release: recipe.release,
        architecture: recipe.architecture,
        repositories,
    }
}

fn in_order(mut packages: Vec<LockedPackage>) -> Vec<LockedPackage> {
    packages.sort_by(|left, right| {
        (&left.name, &left.architecture).cmp(&(&right.name, &right.architecture))
    });
    packages
}
