//! `org.osbuild.librepo`: packages from repositories that have mirrors. The name and the manifest's words are upstream's;
//! the choice of mirrors and the transfers are `osbuild-fetch`'s.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use indexmap::IndexMap;
use osbuild_fetch::{
    Algorithm, Checksum, FetchEvent, FetchOptions, FetchRequest, Hasher, MirrorListFormat, Proxy,
    ServerVerification, fetch_all, fetch_mirrors, file_in_repository,
};
use serde::Deserialize;

use super::FILES;
use super::secrets::{Environment, apply};
use crate::{SourceEvent, SourceModule, SourceOutcome, SourceRequest, SourceResult};

const NAME: &str = "org.osbuild.librepo";

/// The module.
#[derive(Debug)]
pub struct Librepo;

// Upstream's schema lets further properties pass in all of these.
#[derive(Deserialize)]
struct Item {
    path: String,
    mirror: String,
}

#[derive(Deserialize)]
struct Options {
    mirrors: IndexMap<String, Repository>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Repository {
    url: String,
    #[serde(rename = "type")]
    kind: MirrorKind,
    max_parallels: Option<f64>,
    #[serde(default)]
    fastest_mirror: bool,
    #[serde(default)]
    insecure: bool,
    secrets: Option<Secrets>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MirrorKind {
    Mirrorlist,
    Metalink,
    Baseurl,
}

#[derive(Deserialize)]
struct Secrets {
    name: String,
}

/// One package, and what came of it.
struct Package<'a> {
    checksum: &'a str,
    path: String,
    mirror: String,
    /// None while nobody tried.
    result: Option<SourceResult>,
}

impl SourceModule for Librepo {
    fn download(
        &self,
        request: &SourceRequest<'_>,
        report: &(dyn Fn(SourceEvent) + Sync),
    ) -> SourceOutcome {
        download(request, &Environment::read(), report)
    }
}

fn download(
    request: &SourceRequest<'_>,
    environment: &Environment,
    report: &(dyn Fn(SourceEvent) + Sync),
) -> SourceOutcome {
    let results = try_download(request, environment, report).unwrap_or_else(|error| {
        vec![SourceResult {
            error: Some(format!("{error:#}")),
            ..SourceResult::default()
        }]
    });
    SourceOutcome::new(NAME, results)
}

fn try_download(
    request: &SourceRequest<'_>,
    environment: &Environment,
    report: &(dyn Fn(SourceEvent) + Sync),
) -> Result<Vec<SourceResult>> {
    let options = Options::deserialize(request.options).context("reading the options")?;
    let mut packages = packages(request)?;
    if let Some(stray) = packages
        .iter()
        .find(|package| !options.mirrors.contains_key(&package.mirror))
    {
        let error = format!("Missing mirror: {}", stray.mirror);
        return Ok(vec![failure(stray.checksum, error)]);
    }
    let directory = request.cache.join(FILES);
    fs_err::create_dir_all(&directory)?;
    for package in &mut packages {
        if directory.join(package.checksum).is_file() {
            report(SourceEvent::Log(format!(
                "Already downloaded {}",
                package.path
            )));
            report(arrived(package.checksum));
            package.result = Some(success(package.checksum, true));
        }
    }
    let run = Run {
        request,
        environment,
        directory: &directory,
        files_total: packages.len(),
        report,
    };
    for (name, repository) in &options.mirrors {
        let files_done = packages.iter().filter(|p| p.result.is_some()).count();
        let mut wanted: Vec<_> = packages
            .iter_mut()
            .filter(|package| package.mirror == *name && package.result.is_none())
            .collect();
        if wanted.is_empty() {
            continue;
        }
        if let Err(error) = run.fetch(repository, &mut wanted, files_done) {
            for package in wanted {
                run.give_up(package, &format!("{error:#}"));
            }
        }
    }
    Ok(packages.into_iter().filter_map(|p| p.result).collect())
}

fn packages<'a>(request: &SourceRequest<'a>) -> Result<Vec<Package<'a>>> {
    request
        .items
        .iter()
        .map(|(checksum, item)| {
            let item =
                Item::deserialize(item).with_context(|| format!("reading the item {checksum}"))?;
            Ok(Package {
                checksum,
                path: item.path,
                mirror: item.mirror,
                result: None,
            })
        })
        .collect()
}

/// What the transfers of all repositories share.
struct Run<'a> {
    request: &'a SourceRequest<'a>,
    environment: &'a Environment,
    directory: &'a Path,
    files_total: usize,
    report: &'a (dyn Fn(SourceEvent) + Sync),
}

impl Run<'_> {
    /// Gets all packages of one repository. An error is about all of them.
    fn fetch(
        &self,
        repository: &Repository,
        packages: &mut [&mut Package<'_>],
        files_before: usize,
    ) -> Result<()> {
        let options = self.options(repository)?;
        let template = self.template(repository)?;
        let repositories = self.repositories(repository, &template, &options)?;
        let mut requests = Vec::new();
        let mut asked = Vec::new();
        for package in packages.iter_mut() {
            let package = &mut **package;
            match self.package_request(&template, &repositories, package) {
                Ok(request) => {
                    requests.push(request);
                    asked.push(package);
                }
                Err(error) => self.give_up(package, &format!("{error:#}")),
            }
        }
        let fetched = fetch_all(
            &requests,
            self.directory,
            &options,
            self.request.cancel.flag(),
            &|event| self.pass_on(event, &asked, files_before),
        );
        for (package, result) in asked.into_iter().zip(fetched) {
            match result {
                Ok(fetched) => {
                    package.result = Some(success(package.checksum, fetched.is_cached));
                }
                Err(error) => self.give_up(package, &error.to_string()),
            }
        }
        Ok(())
    }

    fn options(&self, repository: &Repository) -> Result<FetchOptions> {
        let mut options = self.environment.fetch_options.clone();
        if let Some(number) = repository.max_parallels {
            let count = number.to_string().parse::<NonZeroUsize>().ok();
            let count = count.with_context(|| {
                format!("max-parallels is {number}, which is no whole number above zero")
            })?;
            options.jobs = count;
            options.per_host = count;
        }
        if repository.fastest_mirror {
            (self.report)(SourceEvent::Warning(format!(
                "WARNING: fastest-mirror: speeds are not measured; the mirrors of {} are taken in its order",
                repository.url
            )));
        }
        Ok(options)
    }

    /// A request for the list of mirrors, which has what those for packages have in common.
    fn template(&self, repository: &Repository) -> Result<FetchRequest> {
        let mut request = FetchRequest::new(repository.url.clone(), no_checksum());
        if repository.insecure {
            request.server_verification = ServerVerification::Skipped;
        }
        if let Some(secrets) = &repository.secrets {
            apply(
                &secrets.name,
                &repository.url,
                &mut request,
                self.environment,
                self.report,
            )?;
        }
        Ok(request)
    }

    fn repositories(
        &self,
        repository: &Repository,
        request: &FetchRequest,
        options: &FetchOptions,
    ) -> Result<Vec<String>> {
        let format = match repository.kind {
            MirrorKind::Baseurl => return Ok(vec![repository.url.clone()]),
            MirrorKind::Metalink => MirrorListFormat::Metalink,
            MirrorKind::Mirrorlist => MirrorListFormat::Plain,
        };
        fetch_mirrors(request, format, options, self.request.cancel.flag())
    }

    fn package_request(
        &self,
        template: &FetchRequest,
        repositories: &[String],
        package: &Package<'_>,
    ) -> Result<FetchRequest> {
        let urls: Vec<_> = repositories
            .iter()
            .filter_map(|repository| file_in_repository(repository, &package.path))
            .collect();
        ensure!(!urls.is_empty(), "the path leads out of the repository");
        let mut request = FetchRequest {
            urls,
            checksum: package.checksum.parse()?,
            file_name: package.checksum.to_owned(),
            ..template.clone()
        };
        if let Some(hint) = self.request.hints.get(package.checksum) {
            request.size = hint.size;
            if self.environment.fetch_options.proxy == Proxy::Environment {
                request.proxy.clone_from(&hint.proxy);
            }
        }
        Ok(request)
    }

    fn pass_on(&self, event: FetchEvent, packages: &[&mut Package<'_>], files_before: usize) {
        match event {
            FetchEvent::Progress {
                bytes_done,
                bytes_total,
                files_done,
                ..
            } => (self.report)(SourceEvent::Progress {
                bytes_done,
                bytes_total: bytes_total
                    .filter(|_| packages.len() + files_before == self.files_total),
                files_done: files_done + files_before,
                files_total: self.files_total,
            }),
            FetchEvent::Retrying {
                url, reason, delay, ..
            } => (self.report)(SourceEvent::Warning(format!(
                "WARNING: failed to download {url}: {reason}; trying again in {:.1} s",
                delay.as_secs_f64()
            ))),
            FetchEvent::Finished { index, .. } => {
                let package = &packages[index];
                (self.report)(arrived(package.checksum));
                (self.report)(SourceEvent::Log(format!("Downloaded {}", package.path)));
            }
        }
    }

    fn give_up(&self, package: &mut Package<'_>, reason: &str) {
        let path = &package.path;
        (self.report)(SourceEvent::Log(format!("Error downloading {path}")));
        let error = format!("error downloading {path}: {reason}");
        package.result = Some(failure(package.checksum, error));
    }
}

/// Stands where there is none to check.
fn no_checksum() -> Checksum {
    Hasher::new(Algorithm::Sha256).finish()
}

fn arrived(checksum: &str) -> SourceEvent {
    SourceEvent::Arrived {
        checksum: checksum.to_owned(),
    }
}

fn success(checksum: &str, cached: bool) -> SourceResult {
    SourceResult {
        checksum: Some(checksum.to_owned()),
        cached: Some(cached),
        error: None,
    }
}

fn failure(checksum: &str, error: String) -> SourceResult {
    SourceResult {
        checksum: Some(checksum.to_owned()),
        cached: None,
        error: Some(error),
    }
}
