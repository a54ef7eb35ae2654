//! Finds out how the host's apt is configured: its sources, keyrings, proxies and preferences.
//!
//! ```text
//! ROOT/
//!   etc/apt/
//!     sources.list             one line per source
//!     sources.list.d/
//!       *.list                 the same
//!       *.sources              deb822 stanzas
//!     preferences, preferences.d/*
//!     apt.conf, apt.conf.d/*   proxies
//! ```

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use osbuild_fetch::Proxy;

mod option_file;
mod preferences;
mod source_line;
mod source_stanza;

use super::{repository::Repository, solve::Pin};

/// The architecture of this program, in Debian's words.
pub fn native_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "i386",
        "aarch64" => "arm64",
        "arm" => "armhf",
        "powerpc64" => "ppc64el",
        other => other,
    }
}

/// What the host's apt is told to use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AptConfiguration {
    /// The repositories of binary packages, in the order apt reads them.
    pub repositories: Vec<Repository>,
    /// The proxies.
    pub proxies: AptProxies,
    /// The preferences between versions.
    pub pins: Vec<Pin>,
}

/// The proxies of apt.conf(5): `Acquire::http::Proxy` and `Acquire::http::Proxy::HOST`, and those of `https`, which
/// come first for addresses of that scheme (apt-transport-http(1), apt-transport-https(1)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AptProxies {
    /// By scheme and host, in lower case; the host is empty for the proxy of all others.
    by_host: HashMap<(String, String), Proxy>,
}

impl AptProxies {
    fn read(options: &option_file::Options) -> Self {
        let mut by_host = HashMap::new();
        for scheme in ["http", "https"] {
            for (host, value) in options.below(&format!("acquire::{scheme}::proxy")) {
                let proxy = match value {
                    "" => continue,
                    value if has_host(value) => Proxy::Url(value.to_owned()),
                    // `DIRECT`, and whatever else apt finds no host in.
                    _ => Proxy::Direct,
                };
                by_host.insert((scheme.to_owned(), host.to_owned()), proxy);
            }
        }
        Self { by_host }
    }

    /// The proxy for an address; none if apt leaves it to the environment.
    pub fn proxy_for(&self, url: &str) -> Option<&Proxy> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or(rest),
            None => host.split(':').next().unwrap_or(host),
        };
        let schemes: &[&str] = match scheme.to_ascii_lowercase().as_str() {
            "https" => &["https", "http"],
            "http" => &["http"],
            _ => return None,
        };
        let find = |host: &str| {
            let host = host.to_ascii_lowercase();
            let mut keys = schemes
                .iter()
                .map(|&scheme| (scheme.to_owned(), host.clone()));
            keys.find_map(|key| self.by_host.get(&key))
        };
        find(host).or_else(|| find(""))
    }
}

/// Tells whether apt would find a host in the value of a proxy.
fn has_host(value: &str) -> bool {
    let after_scheme = value.split_once("://").map(|(_, rest)| rest);
    after_scheme.is_some_and(|rest| {
        let authority = rest.split('/').next().unwrap_or(rest);
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        !host.is_empty() && !host.starts_with(':')
    })
}

/// Reads the apt configuration under `root`; nothing if there is no apt or it has no source of packages.
pub fn host_apt_configuration(root: &Path) -> Result<Option<AptConfiguration>> {
    let apt = root.join("etc/apt");
    let mut configuration = AptConfiguration::default();
    for file in with_parts(
        &apt.join("sources.list"),
        &apt.join("sources.list.d"),
        Some(&["list", "sources"]),
    )? {
        configuration
            .repositories
            .extend(read_sources(root, &file)?);
    }
    if configuration.repositories.is_empty() {
        return Ok(None);
    }
    let option_files = with_parts(&apt.join("apt.conf"), &apt.join("apt.conf.d"), None)?;
    let options = option_file::read_all(&option_files)?;
    configuration.proxies = AptProxies::read(&options);
    for file in with_parts(&apt.join("preferences"), &apt.join("preferences.d"), None)? {
        let text = fs_err::read_to_string(&file).context("reading apt's preferences")?;
        let pins =
            preferences::parse(&text).with_context(|| format!("reading {}", file.display()))?;
        configuration.pins.extend(pins);
    }
    Ok(Some(configuration))
}

fn read_sources(root: &Path, file: &Path) -> Result<Vec<Repository>> {
    let text = fs_err::read_to_string(file).context("reading apt's sources")?;
    let parsed = if file
        .extension()
        .is_some_and(|extension| extension == "sources")
    {
        source_stanza::parse(&text)
    } else {
        source_line::parse(&text)
    };
    let repositories = parsed.with_context(|| format!("reading {}", file.display()))?;
    repositories
        .into_iter()
        .filter_map(|repository| at_one_mirror(root, repository).transpose())
        .collect()
}

/// Replaces what the fetcher does not speak: a mirror list by its first mirror, `copy:` by `file:`.
fn at_one_mirror(root: &Path, mut repository: Repository) -> Result<Option<Repository>> {
    repository.suite = repository.suite.replace("$(ARCH)", native_architecture());
    if let Some(list) = repository.uri.strip_prefix("mirror+file:") {
        let path = root.join(list.trim_start_matches('/'));
        let text = fs_err::read_to_string(&path).context("reading a list of mirrors")?;
        let mirror = text.lines().find_map(|line| {
            line.split_ascii_whitespace()
                .next()
                .filter(|word| !word.starts_with('#'))
        });
        mirror
            .with_context(|| format!("{} names no mirror", path.display()))?
            .clone_into(&mut repository.uri);
    }
    let (scheme, rest) = repository.uri.split_once(':').unwrap_or_default();
    match scheme {
        "http" | "https" => Ok(Some(repository)),
        "file" | "copy" => {
            repository.uri = format!("file:///{}", rest.trim_start_matches('/'));
            Ok(Some(repository))
        }
        _ => {
            tracing::warn!(
                uri = repository.uri,
                "skipping a source: only http, https, file and mirror+file are supported"
            );
            Ok(None)
        }
    }
}

/// A file, if it exists, and the files of its directory in apt's order.
fn with_parts(file: &Path, directory: &Path, extensions: Option<&[&str]>) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if file.is_file() {
        files.push(file.to_owned());
    }
    let entries = match fs_err::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(error).context("reading apt's configuration"),
    };
    let mut parts = Vec::new();
    for entry in entries {
        let path = entry.context("reading apt's configuration")?.path();
        if path.is_file() && is_read_by_apt(&path, extensions) {
            parts.push(path);
        }
    }
    parts.sort();
    files.extend(parts);
    Ok(files)
}

/// apt reads names of letters, digits, `-`, `_` and `.` only, with a known extension, or for settings none.
fn is_read_by_apt(path: &Path, extensions: Option<&[&str]>) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    let is_plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    let is_known = match extensions {
        Some(known) => extension.is_some_and(|extension| known.contains(&extension)),
        None => extension.is_none_or(|extension| matches!(extension, "conf" | "pref")),
    };
    is_plain && !name.starts_with('.') && is_known
}

/// Adds what `Signed-By` says: files, fingerprints or a key written out.
fn set_signed_by(repository: &mut Repository, value: &str) {
    if value.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----") {
        // Lines of a field are indented, and an empty one is written as a dot.
        let lines = value.lines().map(str::trim);
        let mut key = String::new();
        for line in lines.map(|line| if line == "." { "" } else { line }) {
            key.push_str(line);
            key.push('\n');
        }
        repository.keys.push(key);
        return;
    }
    for word in value
        .split([',', ' ', '\t', '\n'])
        .filter(|word| !word.is_empty())
    {
        if word.starts_with('/') {
            repository.keyring.push(PathBuf::from(word));
        } else {
            repository.fingerprints.push(word.to_owned());
        }
    }
}

fn is_no(value: &str) -> bool {
    matches!(
        value.to_ascii_lowercase().as_str(),
        "no" | "false" | "0" | "off" | "without" | "disable"
    )
}

#[cfg(test)]
mod tests;
