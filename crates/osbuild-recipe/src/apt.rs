//! Chooses packages as apt would, from the recipe's repositories or those of the host's own apt.

mod host;
mod known_choice;
mod snapshot;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use osbuild_fetch::FetchOptions;
use osbuild_packages::deb::apt_configuration::{AptProxies, host_apt_configuration};
use osbuild_packages::deb::download::{Download, FetchDownload};
use osbuild_packages::deb::repository::{LoadOptions, PackageIndex, Repository as Archive, open};
use osbuild_packages::deb::solve::{
    BaseSet, PackagePin, Pin, PinTarget, SolveRequest, solve as choose,
};
use osbuild_packages::deb::universe::Universe;

use crate::lock::LockedPackage;
use crate::recipe::{Base, Repository};
use crate::solve::{PackageRequest, PackageSolver, PackageSources, Solution};
use known_choice::{Circumstances, Question};
use snapshot::snapshot;

/// apt's priority for versions that must never be installed.
const FORBIDDEN: i32 = -1;

/// Chooses packages as apt would.
pub struct AptSolver {
    cache: PathBuf,
    host_root: PathBuf,
    mirror: Option<String>,
    keyring: Option<PathBuf>,
    download: Option<Box<dyn Download>>,
}

/// The archives to read and what the host says about using them.
struct Archives {
    list: Vec<Archive>,
    pins: Vec<Pin>,
    download: Proxied,
    /// For each archive, mirrors with the same content.
    alternatives: Vec<Vec<String>>,
}

impl AptSolver {
    /// A solver that keeps package lists in a folder.
    pub fn new(cache: &Path) -> Self {
        Self {
            cache: cache.to_owned(),
            host_root: PathBuf::from("/"),
            mirror: None,
            keyring: None,
            download: None,
        }
    }

    /// Reads the release from this mirror instead of the host's, when the recipe names no repositories.
    #[must_use]
    pub fn with_mirror(mut self, mirror: &str) -> Self {
        self.mirror = Some(mirror.trim_end_matches('/').to_owned());
        self
    }

    /// Trusts the keys in this file instead of the usual ones, when the recipe names no repositories.
    #[must_use]
    pub fn with_keyring(mut self, keyring: &Path) -> Self {
        self.keyring = Some(keyring.to_owned());
        self
    }

    /// Takes the host's apt configuration and os-release from below another folder than `/`.
    #[must_use]
    pub fn with_host_root(mut self, root: &Path) -> Self {
        root.clone_into(&mut self.host_root);
        self
    }

    /// Brings files of repositories in another way than over the network.
    #[must_use]
    pub fn with_download(mut self, download: Box<dyn Download>) -> Self {
        self.download = Some(download);
        self
    }

    fn archives(&self, sources: &PackageSources) -> Result<Archives> {
        if !sources.repositories.is_empty() {
            return Ok(named(&sources.repositories));
        }
        if let Some(mirror) = &self.mirror {
            return Ok(named(&[self.main_suite(mirror, sources)]));
        }
        let mut archives = self.host_archives(sources)?;
        if let Some(keyring) = &self.keyring {
            for archive in &mut archives.list {
                archive.keyring = vec![keyring.clone()];
                archive.keys.clear();
            }
        }
        Ok(archives)
    }

    /// The release's main suite on a mirror.
    fn main_suite(&self, mirror: &str, sources: &PackageSources) -> Repository {
        let distribution = sources.release.distribution();
        let components = distribution.components().iter();
        Repository {
            mirrors: vec![mirror.to_owned()],
            suites: vec![sources.release.code_name().to_owned()],
            components: components.map(|name| (*name).to_owned()).collect(),
            keyring: self
                .keyring
                .clone()
                .or_else(|| distribution.keyring().map(PathBuf::from))
                .unwrap_or_default(),
            place: crate::problem::Place::default(),
        }
    }

    /// What the host's apt uses, when the host is of the wanted distribution. Mirrors carry all releases of theirs,
    /// so that for another release than the host's its suites are read in place of the host's.
    fn host_archives(&self, sources: &PackageSources) -> Result<Archives> {
        let advice = "name `repositories` in the recipe, or give `--mirror` and `--keyring`";
        let wanted = sources.release;
        let host = host::host(&self.host_root)?;
        let Some(host) = host.filter(|host| host.distribution == wanted.distribution()) else {
            bail!(
                "the recipe names no repositories, and this machine's apt cannot stand in: it does not run {}; {advice}",
                wanted.distribution().word()
            );
        };
        let configuration = host_apt_configuration(&self.host_root)
            .context("reading this machine's apt configuration")?;
        let Some(configuration) = configuration else {
            bail!("the recipe names no repositories, and this machine's apt has none; {advice}");
        };
        let archives: Vec<Archive> = configuration
            .repositories
            .into_iter()
            .filter_map(|archive| {
                let suite = suite_of(&archive.suite, &host.code_name, wanted.code_name())?;
                Some(Archive { suite, ..archive })
            })
            .collect();
        if archives.is_empty() {
            bail!(
                "the recipe names no repositories, and this machine's apt has none for the suite `{}`; {advice}",
                host.code_name
            );
        }
        Ok(Archives {
            alternatives: archives.iter().map(|_| Vec::new()).collect(),
            list: archives,
            // The host's preferences are about its own release.
            pins: if host.code_name == wanted.code_name() {
                configuration.pins
            } else {
                Vec::new()
            },
            download: Proxied(configuration.proxies),
        })
    }
}

/// The suite of one release that answers to another's: for `trixie`, `bookworm-security` becomes `trixie-security`.
/// None for a third party's suites, which have names of their own.
fn suite_of(suite: &str, host: &str, wanted: &str) -> Option<String> {
    let rest = suite.strip_prefix(host)?;
    (rest.is_empty() || rest.starts_with(['-', '/'])).then(|| format!("{wanted}{rest}"))
}

fn named(repositories: &[Repository]) -> Archives {
    let mut archives = Vec::new();
    let mut alternatives = Vec::new();
    for repository in repositories {
        let Some((first, others)) = repository.mirrors.split_first() else {
            continue;
        };
        let components: Vec<&str> = repository.components.iter().map(String::as_str).collect();
        for suite in &repository.suites {
            archives.push(Archive {
                keyring: vec![repository.keyring.clone()],
                ..Archive::new(first, suite, &components)
            });
            alternatives.push(others.to_vec());
        }
    }
    Archives {
        list: archives,
        pins: Vec::new(),
        download: Proxied::default(),
        alternatives,
    }
}

impl PackageSolver for AptSolver {
    fn solve(&self, sources: &PackageSources, requests: &[PackageRequest]) -> Result<Solution> {
        let archives = self.archives(sources)?;
        let download: &dyn Download = match &self.download {
            Some(download) => download.as_ref(),
            None => &archives.download,
        };
        let options = LoadOptions {
            download,
            cache: &self.cache,
            keyring_root: &self.host_root,
            now: SystemTime::now(),
        };
        let architecture = sources.architecture.word();
        let opened = open(&archives.list, architecture, &options)?;
        let states = opened.states();
        let (repositories, date) = snapshot(&archives.list, &states)?;
        let question = Question {
            archives: &archives.list,
            alternatives: &archives.alternatives,
            pins: &archives.pins,
            architecture,
            requests,
        };
        let circumstances = Circumstances::now(&states)?;
        let known = known_choice::read(&self.cache, &question, &circumstances)?;
        let packages = if let Some(known) = known {
            known
        } else {
            let chosen = choose_all(&opened.read()?, requests, &archives, architecture)?;
            known_choice::keep(&self.cache, &question, circumstances, &chosen)?;
            chosen
        };
        Ok(Solution {
            repositories,
            packages,
            date,
        })
    }
}

/// Chooses the packages of each request.
fn choose_all(
    indices: &[PackageIndex],
    requests: &[PackageRequest],
    archives: &Archives,
    architecture: &str,
) -> Result<Vec<Vec<LockedPackage>>> {
    let universe = Universe::read(indices, architecture)?;
    let chosen = requests.iter().map(|request| {
        let pins = choose(&universe, &apt_request(request, &archives.pins))
            .with_context(|| format!("choosing packages for {}", request.purpose))?;
        Ok(pins.into_iter().map(|pin| locked(pin, archives)).collect())
    });
    chosen.collect()
}

fn apt_request(request: &PackageRequest, host_pins: &[Pin]) -> SolveRequest {
    let excluded = request.exclude.iter().map(|name| Pin {
        package: name.clone(),
        target: PinTarget::Version("*".to_owned()),
        priority: FORBIDDEN,
    });
    SolveRequest {
        packages: request.include.clone(),
        base: match request.base {
            None => BaseSet::Nothing,
            Some(Base::Essential) => BaseSet::Essential,
            Some(Base::Apt) => BaseSet::Apt,
            Some(Base::Required) => BaseSet::Minbase,
            Some(Base::Important) => BaseSet::Important,
            Some(Base::Standard) => BaseSet::Standard,
        },
        pins: excluded.chain(host_pins.iter().cloned()).collect(),
    }
}

fn locked(pin: PackagePin, archives: &Archives) -> LockedPackage {
    let mut urls = vec![pin.url];
    for (archive, mirrors) in archives.list.iter().zip(&archives.alternatives) {
        // `…/debian` is no part of `…/debian-security`.
        let uri = archive.uri.trim_end_matches('/');
        let rest = urls[0].strip_prefix(uri);
        if let Some(rest) = rest.filter(|rest| rest.starts_with('/')) {
            let others: Vec<String> = mirrors
                .iter()
                .map(|mirror| format!("{}{rest}", mirror.trim_end_matches('/')))
                .collect();
            urls.extend(others);
            break;
        }
    }
    LockedPackage {
        name: pin.name,
        version: pin.version,
        architecture: pin.architecture,
        urls,
        sha256: pin.sha256,
        size: pin.size,
    }
}

/// Which proxies the apt of the system below `root` uses; none without apt.
pub fn host_proxies(root: &Path) -> Result<AptProxies> {
    let configuration =
        host_apt_configuration(root).context("reading this machine's apt configuration")?;
    Ok(configuration.unwrap_or_default().proxies)
}

/// Downloads by the proxy that apt uses for an address, else by what the environment says.
#[derive(Default)]
struct Proxied(AptProxies);

impl Download for Proxied {
    fn download(&self, url: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let fetch = FetchDownload {
            options: FetchOptions {
                proxy: self.0.proxy_for(url).cloned().unwrap_or_default(),
                ..FetchOptions::default()
            },
        };
        fetch.download(url, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_of_a_release_are_told_from_others() {
        for (suite, expected) in [
            ("bookworm", Some("trixie")),
            ("bookworm-security", Some("trixie-security")),
            ("bookworm/updates", Some("trixie/updates")),
            ("trixie", None),
            ("stable", None),
            ("bookwormish", None),
        ] {
            let found = suite_of(suite, "bookworm", "trixie");
            assert_eq!(found.as_deref(), expected, "{suite}");
            let same = suite_of(suite, "bookworm", "bookworm");
            assert_eq!(same.as_deref(), expected.map(|_| suite), "{suite}");
        }
    }
}
