//! Repositories of RPM packages, read by way of their metadata.
//!
//! Each file of metadata is checked against `repomd.xml`. That file itself is believed, as dnf does unless it is told
//! otherwise: packages are signed, and checked when they are installed.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use super::dependency::{Capability, Requirement};
use super::details::Details;
use super::repomd::Repomd;
use super::version::Evr;
use super::{filelists, primary};
use crate::deb::decompress::decompress;
use crate::deb::download::Download;
use crate::deb::index_cache;
use crate::deb::release::Listed;

/// Where the list of metadata is below a repository's address.
const REPOMD: &str = "repodata/repomd.xml";
/// Far above what any repository lists, in bytes.
const LARGEST_REPOMD: u64 = 16 << 20;
/// Far above the compressed list of the largest distribution, in bytes.
const LARGEST_LIST: u64 = 512 << 20;

/// How repositories are read.
pub struct LoadOptions<'a> {
    /// How files come here.
    pub download: &'a dyn Download,
    /// Where lists of packages are kept, by hash.
    pub cache: &'a Path,
    /// The architecture whose packages are read, as RPM has it; those of `noarch` are always read.
    pub architecture: &'a str,
}

/// How much is read about packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What it takes to choose.
    Choice,
    /// All that there is, with the full list of files.
    Everything,
}

/// What a repository has, and which state of it that is.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Its packages.
    pub packages: Vec<Available>,
    /// What its maker calls this state.
    pub revision: String,
    /// SHA-256 of its `repomd.xml`, in hexadecimal.
    pub repomd_sha256: String,
    /// When its newest metadata was made, in seconds since 1970.
    pub date: i64,
}

/// A package that can be had.
#[derive(Clone, Debug)]
pub struct Available {
    /// Its name.
    pub name: String,
    /// Its version.
    pub evr: Evr,
    /// Its architecture, or `noarch`.
    pub architecture: String,
    /// Where it is.
    pub url: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// What it provides, its own name among it.
    pub provides: Vec<Capability>,
    /// What it needs.
    pub requires: Vec<Requirement>,
    /// What it cannot be installed beside.
    pub conflicts: Vec<Requirement>,
    /// Packages that it takes the place of, by their own names.
    pub obsoletes: Vec<Capability>,
    /// What it recommends or suggests.
    pub weak: Vec<Requirement>,
    /// Files that others may need, by rule those in `bin` and `etc`; all of them if everything was read.
    pub files: Vec<String>,
    /// What else it says about itself, if everything was read.
    pub details: Option<Box<Details>>,
}

impl Default for Available {
    fn default() -> Self {
        Self {
            name: String::new(),
            evr: Evr::parse(""),
            architecture: String::new(),
            url: String::new(),
            sha256: String::new(),
            size: 0,
            provides: Vec::new(),
            requires: Vec::new(),
            conflicts: Vec::new(),
            obsoletes: Vec::new(),
            weak: Vec::new(),
            files: Vec::new(),
            details: None,
        }
    }
}

impl Repository {
    /// Reads the repository at an address, that above `repodata`.
    pub fn load(address: &str, options: &LoadOptions<'_>) -> Result<Self> {
        Self::read(address, options, Extent::Choice)
            .with_context(|| format!("reading the repository {address}"))
    }

    /// Reads the repository with all that it says about its packages.
    pub fn load_everything(address: &str, options: &LoadOptions<'_>) -> Result<Self> {
        Self::read(address, options, Extent::Everything)
            .with_context(|| format!("reading the repository {address}"))
    }

    fn read(address: &str, options: &LoadOptions<'_>, extent: Extent) -> Result<Self> {
        let url = format!("{address}/{REPOMD}");
        let content = options.download.download(&url, LARGEST_REPOMD)?;
        let content = content.with_context(|| format!("{url} does not exist"))?;
        let text = std::str::from_utf8(&content).with_context(|| format!("reading {url}"))?;
        let repomd = Repomd::read(text).with_context(|| format!("reading {url}"))?;
        let (path, listed) = repomd
            .file("primary")
            .with_context(|| format!("reading {url}"))?;
        let list = list(&format!("{address}/{path}"), &listed, options)?;
        let mut packages = primary::read(&list, address, options.architecture, extent)
            .with_context(|| format!("reading {address}/{path}"))?;
        if extent == Extent::Everything {
            ensure!(!repomd.has("modules"), "it has modules, which are not read");
            add_files(&mut packages, &repomd, address, options)?;
        }
        Ok(Self {
            packages,
            repomd_sha256: index_cache::sha256(&content),
            revision: repomd.revision,
            date: repomd.date,
        })
    }
}

/// Gives packages all their files.
fn add_files(
    packages: &mut [Available],
    repomd: &Repomd,
    address: &str,
    options: &LoadOptions<'_>,
) -> Result<()> {
    let (path, listed) = repomd.file("filelists")?;
    let url = format!("{address}/{path}");
    let list = list(&url, &listed, options)?;
    let mut files = filelists::read(&list).with_context(|| format!("reading {url}"))?;
    for package in packages {
        if let Some(files) = files.remove(&package.sha256) {
            package.files = files;
        }
    }
    Ok(())
}

/// Brings a list of packages, from the cache if it is there.
fn list(url: &str, listed: &Listed, options: &LoadOptions<'_>) -> Result<String> {
    ensure!(
        listed.size <= LARGEST_LIST,
        "{url} has {} bytes, more than any list of packages",
        listed.size
    );
    let content = match index_cache::read(options.cache, listed)? {
        Some(content) => content,
        None => {
            let Some(content) = options.download.download(url, listed.size)? else {
                bail!(
                    "{url} does not exist, though it is listed; has the repository just changed?"
                );
            };
            ensure!(
                index_cache::is_listed(&content, listed),
                "{url} is not the file that is listed; has the repository just changed?"
            );
            index_cache::store(options.cache, listed, &content)?;
            content
        }
    };
    let extension = [".gz", ".xz", ".zst", ".bz2"]
        .into_iter()
        .find(|extension| url.ends_with(extension));
    decompress(&content, extension.unwrap_or_default())
}
