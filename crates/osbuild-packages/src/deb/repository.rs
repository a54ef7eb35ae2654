//! Fetches package indices: `InRelease`, checked against a keyring, then `Packages`, checked against it.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, Result, bail};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    decompress::{EXTENSIONS, decompress},
    download::Download,
    index_cache,
    keyring::Keyring,
    release::{Listed, Release},
    signed_release::SignedRelease,
};

/// A Debian repository, as a recipe or apt's configuration names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// The address under which `dists/` lies.
    pub uri: String,
    /// A suite or code name; one that ends in `/` is a flat repository.
    pub suite: String,
    /// Components such as `main`; empty for a flat repository.
    #[serde(default)]
    pub components: Vec<String>,
    /// Architectures to read; empty means the one that packages are chosen for.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// Files with the keys that may sign it; empty means the default keyrings.
    #[serde(default)]
    pub keyring: Vec<PathBuf>,
    /// Armored keys that may sign it, written out.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Fingerprints; if there are any, only these keys may sign it.
    #[serde(default)]
    pub fingerprints: Vec<String>,
    /// Whether a release past its end is refused; a snapshot of the past needs `false`.
    #[serde(default = "yes")]
    pub check_valid_until: bool,
}

fn yes() -> bool {
    true
}

impl Repository {
    /// A repository with the default keyrings.
    pub fn new(uri: &str, suite: &str, components: &[&str]) -> Self {
        Self {
            uri: uri.to_owned(),
            suite: suite.to_owned(),
            components: components
                .iter()
                .map(|&component| component.to_owned())
                .collect(),
            architectures: Vec::new(),
            keyring: Vec::new(),
            keys: Vec::new(),
            fingerprints: Vec::new(),
            check_valid_until: true,
        }
    }

    pub(super) fn is_flat(&self) -> bool {
        self.suite.ends_with('/')
    }

    /// The directory of the release file.
    fn release_url(&self) -> String {
        let uri = self.uri.trim_end_matches('/');
        if self.is_flat() {
            let path = self.suite.trim_start_matches("./").trim_matches('/');
            return if path.is_empty() {
                uri.to_owned()
            } else {
                format!("{uri}/{path}")
            };
        }
        format!("{uri}/dists/{}", self.suite)
    }

    fn read_keyring(&self, root: &Path) -> Result<Keyring> {
        let mut keyring = if self.keyring.is_empty() && self.keys.is_empty() {
            Keyring::read_default(root)?
        } else {
            Keyring::read(&self.keyring)?
        };
        for key in &self.keys {
            keyring.add(key.as_bytes(), "the key written in the source")?;
        }
        Ok(if self.fingerprints.is_empty() {
            keyring
        } else {
            keyring.only(&self.fingerprints)
        })
    }
}

/// What loading indices needs from its caller.
#[derive(Clone, Copy)]
pub struct LoadOptions<'a> {
    /// How files come here.
    pub download: &'a dyn Download,
    /// Where indices are kept, by hash.
    pub cache: &'a Path,
    /// The root whose default keyrings are used for repositories that name none, usually `/`.
    pub keyring_root: &'a Path,
    /// The time at which signatures and releases must be valid.
    pub now: SystemTime,
}

/// What was read from repositories.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The package indices, in the order of the repositories.
    pub indices: Vec<PackageIndex>,
    /// For each repository the state it was in; none for those passed over, being for other architectures only.
    pub states: Vec<Option<RepositoryState>>,
}

/// Which state of a repository was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryState {
    /// When it was made, as its release file says it.
    pub date: Option<String>,
    /// The SHA-256 of `InRelease`, or of `Release` where there is none.
    pub release_sha256: String,
}

/// Loads the package indices of repositories, in order, for one architecture.
pub fn load(
    repositories: &[Repository],
    architecture: &str,
    options: &LoadOptions<'_>,
) -> Result<Loaded> {
    let opened = open(repositories, architecture, options)?;
    Ok(Loaded {
        indices: opened.read()?,
        states: opened.states(),
    })
}

/// Repositories whose release files are here and verified, but not yet their package indices.
pub struct OpenRepositories<'a> {
    repositories: &'a [Repository],
    /// For each repository; none for those passed over.
    opened: Vec<Option<OpenRepository>>,
    options: &'a LoadOptions<'a>,
}

struct OpenRepository {
    base: String,
    signed: SignedRelease,
    /// The component and the path, without extension, of each index.
    indices: Vec<(String, String)>,
}

/// Fetches the release files of repositories, and finds out what there is for one architecture.
pub fn open<'a>(
    repositories: &'a [Repository],
    architecture: &str,
    options: &'a LoadOptions<'a>,
) -> Result<OpenRepositories<'a>> {
    let opened = repositories
        .par_iter()
        .map(|repository| {
            OpenRepository::open(repository, architecture, options)
                .with_context(|| loading(repository))
        })
        .collect::<Result<_>>()?;
    Ok(OpenRepositories {
        repositories,
        opened,
        options,
    })
}

impl OpenRepositories<'_> {
    /// For each repository the state it is in; none for those passed over, being for other architectures only.
    pub fn states(&self) -> Vec<Option<RepositoryState>> {
        let states = self.opened.iter().map(|opened| {
            opened.as_ref().map(|opened| RepositoryState {
                date: opened.signed.release.date_text.clone(),
                release_sha256: index_cache::sha256(&opened.signed.content),
            })
        });
        states.collect()
    }

    /// Fetches the package indices, in the order of the repositories.
    pub fn read(&self) -> Result<Vec<PackageIndex>> {
        let indices: Vec<Vec<PackageIndex>> = self
            .repositories
            .par_iter()
            .zip(&self.opened)
            .map(|(repository, opened)| match opened {
                Some(opened) => opened
                    .read(repository, self.options)
                    .with_context(|| loading(repository)),
                None => Ok(Vec::new()),
            })
            .collect::<Result<_>>()?;
        Ok(indices.into_iter().flatten().collect())
    }
}

fn loading(repository: &Repository) -> String {
    format!(
        "loading the repository {} {}",
        repository.uri, repository.suite
    )
}

impl OpenRepository {
    fn open(
        repository: &Repository,
        architecture: &str,
        options: &LoadOptions<'_>,
    ) -> Result<Option<Self>> {
        if !repository.architectures.is_empty()
            && !repository
                .architectures
                .iter()
                .any(|listed| listed == architecture)
        {
            return Ok(None);
        }
        let base = repository.release_url();
        let keyring = repository.read_keyring(options.keyring_root)?;
        let signed = SignedRelease::fetch(&base, repository, &keyring, options)?;
        check_offer(repository, &signed.release, architecture, &signed.url)?;
        let indices = index_paths(repository, &signed.release, architecture);
        Ok(Some(Self {
            base,
            signed,
            indices,
        }))
    }

    fn read(
        &self,
        repository: &Repository,
        options: &LoadOptions<'_>,
    ) -> Result<Vec<PackageIndex>> {
        let release = &self.signed.release;
        let indices = self
            .indices
            .par_iter()
            .map(|(component, path)| {
                let (url, text) = fetch_index(&self.base, path, release, options)?;
                let origin = IndexOrigin {
                    url,
                    base_url: if repository.is_flat() {
                        self.base.clone()
                    } else {
                        repository.uri.clone()
                    },
                    origin: release.origin.clone(),
                    suite: release.suite.clone(),
                    codename: release.codename.clone(),
                    component: component.clone(),
                    pin_priority: release.pin_priority,
                };
                Ok(PackageIndex { text, origin })
            })
            .collect::<Result<_>>()?;
        self.signed.remember(&self.base, options.cache)?;
        Ok(indices)
    }
}

/// Refuses components and architectures that the release does not have, instead of finding nothing in them.
fn check_offer(
    repository: &Repository,
    release: &Release,
    architecture: &str,
    url: &str,
) -> Result<()> {
    if repository.is_flat() {
        return Ok(());
    }
    if repository.components.is_empty() {
        bail!(
            "the repository names no component; {url} offers {}",
            release.components.join(", ")
        );
    }
    let offers = |architecture: &str| {
        release
            .architectures
            .iter()
            .any(|offered| offered == architecture)
    };
    if !release.architectures.is_empty() && !offers(architecture) {
        bail!(
            "{url} offers {}, but not {architecture}",
            release.architectures.join(", ")
        );
    }
    for component in &repository.components {
        // Some releases list `updates/main` where the component is `main`.
        let is_offered = release
            .components
            .iter()
            .any(|offered| offered == component || offered.ends_with(&format!("/{component}")));
        if !release.components.is_empty() && !is_offered {
            bail!(
                "{url} has no component `{component}`; it offers {}",
                release.components.join(", ")
            );
        }
    }
    Ok(())
}

/// The component and the path, without extension, of each index to read, in apt's order.
fn index_paths(
    repository: &Repository,
    release: &Release,
    architecture: &str,
) -> Vec<(String, String)> {
    if repository.is_flat() {
        return vec![(String::new(), "Packages".to_owned())];
    }
    let mut architectures = vec![architecture];
    if release.architectures.iter().any(|listed| listed == "all") && !release.repeats_all {
        architectures.push("all");
    }
    let path =
        |component: &str, architecture: &str| format!("{component}/binary-{architecture}/Packages");
    repository
        .components
        .iter()
        .flat_map(|component| {
            architectures
                .iter()
                .map(move |architecture| (component.clone(), path(component, architecture)))
        })
        .filter(|(_, path)| !path.contains("/binary-all/") || listed(release, path).is_some())
        .collect()
}

fn listed<'a>(release: &'a Release, path: &str) -> Option<(&'static str, &'a Listed)> {
    EXTENSIONS.iter().find_map(|&extension| {
        release
            .file(&format!("{path}{extension}"))
            .map(|file| (extension, file))
    })
}

fn fetch_index(
    base: &str,
    path: &str,
    release: &Release,
    options: &LoadOptions<'_>,
) -> Result<(String, String)> {
    let Some((extension, file)) = listed(release, path) else {
        bail!(
            "the release file lists no `{path}` in a compression we know (xz, zst, bz2, gz, none)"
        );
    };
    let url = format!("{base}/{path}{extension}");
    let content = match index_cache::read(options.cache, file)? {
        Some(content) => content,
        None => {
            let content =
                download_index(base, path, &url, file, release.by_hash, options.download)?;
            index_cache::store(options.cache, file, &content)?;
            content
        }
    };
    let text = decompress(&content, extension).with_context(|| format!("unpacking {url}"))?;
    Ok((url, text))
}

/// Downloads by hash where the mirror can: the plain name may already mean a newer file than the release does.
fn download_index(
    base: &str,
    path: &str,
    url: &str,
    file: &Listed,
    by_hash: bool,
    download: &dyn Download,
) -> Result<Vec<u8>> {
    let directory = path
        .rsplit_once('/')
        .map_or(String::new(), |(directory, _)| format!("{directory}/"));
    let hashed = format!("{base}/{directory}by-hash/SHA256/{}", file.sha256);
    if by_hash
        && let Some(content) = download.download(&hashed, file.size)?
        && index_cache::is_listed(&content, file)
    {
        return Ok(content);
    }
    let Some(content) = download.download(url, file.size)? else {
        bail!(
            "{url} does not exist, but the release file lists it; the mirror is being updated or broken"
        );
    };
    if !index_cache::is_listed(&content, file) {
        bail!(
            "{url} is not the file the signed release lists: expected {} bytes with SHA-256 {}, got {} bytes with {}; the mirror is being updated, broken or tampered with",
            file.size,
            file.sha256,
            content.len(),
            index_cache::sha256(&content)
        );
    }
    Ok(content)
}

/// What is known about the repository that an index came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexOrigin {
    /// The address of the index.
    pub url: String,
    /// The address that `Filename` fields are relative to.
    pub base_url: String,
    /// `Origin` of the release.
    pub origin: String,
    /// `Suite` of the release.
    pub suite: String,
    /// `Codename` of the release.
    pub codename: String,
    /// The component of the index.
    pub component: String,
    /// apt's priority for versions from here: 500, or less if the release asks for it.
    pub pin_priority: i32,
}

/// The text of one `Packages` file and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageIndex {
    /// The stanzas.
    pub text: String,
    /// Where they came from.
    pub origin: IndexOrigin,
}
