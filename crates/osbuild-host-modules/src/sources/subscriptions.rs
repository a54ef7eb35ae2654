//! Red Hat subscriptions of this machine: which certificate and key a server of Red Hat's content wants to see.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use osbuild_fetch::ClientCertificate;

/// What the machine was registered with, below its root.
const HOST: Places = Places {
    authorities: "etc/rhsm/ca",
    entitlements: "etc/pki/entitlement",
    repositories: "etc/yum.repos.d/redhat.repo",
};

/// The same, as podman hands it to a container.
const CONTAINER: Places = Places {
    authorities: "run/secrets/rhsm/ca",
    entitlements: "run/secrets/etc-pki-entitlement",
    repositories: "run/secrets/redhat.repo",
};

/// The authority of Red Hat's own servers, and that of a Satellite, which comes first where it is.
const AUTHORITY: &str = "redhat-uep.pem";
const SATELLITE_AUTHORITY: &str = "katello-server-ca.pem";

/// Variables of a repository's URL (yum.conf(5)); each stands for any text without a slash.
const VARIABLES: [&str; 4] = ["$releasever", "$arch", "$basearch", "$uuid"];

struct Places {
    authorities: &'static str,
    entitlements: &'static str,
    repositories: &'static str,
}

/// The subscriptions of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subscriptions {
    repositories: Vec<Repository>,
    /// For URLs that belong to none of the repositories.
    fallback: Option<Entitlement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Repository {
    base_url: String,
    entitlement: Entitlement,
}

/// Whom to trust, and what to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entitlement {
    /// The authorities, instead of the system's.
    pub(super) certificate_authority: Option<PathBuf>,
    /// What identifies the subscriber.
    pub(super) client_certificate: ClientCertificate,
}

impl Subscriptions {
    /// Reads those of the system in a root directory.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let is_container =
            root.join("run/.containerenv").exists() && root.join("run/secrets").exists();
        let places = if is_container { CONTAINER } else { HOST };
        let authorities = root.join(places.authorities);
        let authority = [SATELLITE_AUTHORITY, AUTHORITY]
            .map(|name| authorities.join(name))
            .into_iter()
            .find(|path| path.exists())
            .unwrap_or_else(|| authorities.join(AUTHORITY));
        let path = root.join(places.repositories);
        let repositories = match fs_err::read_to_string(&path) {
            Ok(text) => repositories(&text, &authority),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).context("reading Red Hat's repositories"),
        };
        let fallback = entitlement(&root.join(places.entitlements), &authority)?;
        if repositories.is_empty() && fallback.is_none() {
            bail!("No RHSM secrets found on this host.");
        }
        Ok(Self {
            repositories,
            fallback,
        })
    }

    /// What a URL needs: what its repository says, else any entitlement.
    pub(super) fn for_url(&self, url: &str) -> Result<&Entitlement> {
        self.repositories
            .iter()
            .find(|repository| is_below(url, &repository.base_url))
            .map(|repository| &repository.entitlement)
            .or(self.fallback.as_ref())
            .with_context(|| format!("There are no RHSM secret associated with {url}"))
    }
}

/// The first key in the directory that has its certificate. Upstream takes the one that the file system lists last.
fn entitlement(directory: &Path, authority: &Path) -> Result<Option<Entitlement>> {
    let entries = match fs_err::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("reading the entitlements"),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort();
    let pair = names.iter().find_map(|key| {
        let certificate = directory.join(format!("{}.pem", key.strip_suffix("-key.pem")?));
        certificate.exists().then(|| ClientCertificate {
            certificate,
            key: directory.join(key),
        })
    });
    Ok(pair.map(|client_certificate| Entitlement {
        certificate_authority: Some(authority.to_owned()),
        client_certificate,
    }))
}

/// The repositories that a `.repo` file has certificates for, in its order.
fn repositories(text: &str, authority: &Path) -> Vec<Repository> {
    sections(text)
        .iter()
        .filter_map(|section| {
            let repository = repository(section, authority);
            if repository.is_none() {
                tracing::debug!(?section, "no URL, certificate or key in this repository");
            }
            repository
        })
        .collect()
}

fn repository(section: &BTreeMap<String, String>, authority: &Path) -> Option<Repository> {
    let certificate_authority = match section.get("sslcacert") {
        Some(path) if path.is_empty() => None,
        Some(path) => Some(PathBuf::from(path)),
        // On systems that are registered to Insights, dnf's plug-in sets it.
        None => Some(authority.to_owned()),
    };
    Some(Repository {
        base_url: section.get("baseurl")?.clone(),
        entitlement: Entitlement {
            certificate_authority,
            client_certificate: ClientCertificate {
                certificate: section.get("sslclientcert")?.into(),
                key: section.get("sslclientkey")?.into(),
            },
        },
    })
}

/// The settings of each section; lines that are none are left out.
fn sections(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut sections: Vec<BTreeMap<String, String>> = Vec::new();
    for line in text.lines() {
        if line.starts_with([' ', '\t', '#', ';']) {
            continue;
        }
        let line = line.trim();
        if line.starts_with('[') && line.ends_with(']') {
            sections.push(BTreeMap::new());
        } else if let (Some(section), Some((name, value))) =
            (sections.last_mut(), line.split_once(['=', ':']))
        {
            section.insert(name.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    sections
}

/// Whether a URL begins with a repository's, whatever its variables stand for.
fn is_below(url: &str, base_url: &str) -> bool {
    let Some(start) = base_url.find('$') else {
        return url.starts_with(base_url);
    };
    let (text, rest) = base_url.split_at(start);
    let Some(url) = url.strip_prefix(text) else {
        return false;
    };
    let variable = VARIABLES
        .into_iter()
        .find_map(|name| rest.strip_prefix(name));
    let Some(rest) = variable else {
        return url
            .strip_prefix('$')
            .is_some_and(|url| is_below(url, &rest[1..]));
    };
    let segment = url.find('/').unwrap_or(url.len());
    (0..=segment)
        .filter(|end| url.is_char_boundary(*end))
        .any(|end| is_below(&url[end..], rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn shown(entitlement: &Entitlement, root: &Path) -> [String; 3] {
        let authority = entitlement.certificate_authority.clone();
        let certificate = &entitlement.client_certificate;
        [
            authority.unwrap_or_default(),
            certificate.certificate.clone(),
            certificate.key.clone(),
        ]
        .map(|path| {
            let path = path.strip_prefix(root).unwrap_or(&path);
            path.display().to_string()
        })
    }

    const REPOSITORIES: &str = "\
# Certificate-based repositories
[baseos]
name = BaseOS: $basearch
baseurl = https://cdn.example/rhel9/$releasever/$basearch/os
sslclientkey = /e/1-key.pem
sslclientcert = /e/1.pem
sslcacert = /ca.pem
[main]
enabled = 1
[appstream]
baseurl: https://cdn.example/app/
SSLClientKey = /e/2-key.pem
sslclientcert = /e/2.pem
[own]
baseurl = https://own.example/$arch-x$y
sslclientkey = /e/3-key.pem
sslclientcert = /e/3.pem
sslcacert =
";

    #[test]
    fn a_url_gets_what_its_repository_says() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), HOST.repositories, REPOSITORIES);
        let subscriptions = Subscriptions::read(root.path()).unwrap();
        let of = |url| shown(subscriptions.for_url(url).unwrap(), root.path());
        assert_eq!(
            of("https://cdn.example/rhel9/9.4/x86_64/os/Packages/a.rpm"),
            ["/ca.pem", "/e/1.pem", "/e/1-key.pem"]
        );
        assert_eq!(
            of("https://cdn.example/app/a.rpm"),
            ["etc/rhsm/ca/redhat-uep.pem", "/e/2.pem", "/e/2-key.pem"]
        );
        assert_eq!(
            of("https://own.example/a-b-x$y/"),
            ["", "/e/3.pem", "/e/3-key.pem"]
        );
        for url in [
            "https://cdn.example/rhel9/9/4/x86_64/os/a.rpm",
            "https://elsewhere.example/app/a.rpm",
            "https://own.example/a-b-xy/",
        ] {
            assert_eq!(
                subscriptions.for_url(url).unwrap_err().to_string(),
                format!("There are no RHSM secret associated with {url}")
            );
        }
    }

    #[test]
    fn other_urls_get_the_first_key_with_a_certificate() {
        let root = tempfile::tempdir().unwrap();
        for name in [
            "1-key.pem",
            "3-key.pem",
            "3.pem",
            "5.pem",
            "7-key.pem",
            "7.pem",
        ] {
            write(root.path(), &format!("{}/{name}", HOST.entitlements), "");
        }
        let of = || {
            let subscriptions = Subscriptions::read(root.path()).unwrap();
            shown(subscriptions.for_url("https://x/").unwrap(), root.path())
        };
        let (certificate, key) = ("etc/pki/entitlement/3.pem", "etc/pki/entitlement/3-key.pem");
        assert_eq!(of(), ["etc/rhsm/ca/redhat-uep.pem", certificate, key]);
        write(root.path(), "etc/rhsm/ca/katello-server-ca.pem", "");
        assert_eq!(
            of(),
            ["etc/rhsm/ca/katello-server-ca.pem", certificate, key]
        );
    }

    #[test]
    fn a_container_has_its_own_places() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), HOST.repositories, REPOSITORIES);
        write(root.path(), "run/.containerenv", "");
        write(root.path(), "run/secrets/etc-pki-entitlement/1-key.pem", "");
        write(root.path(), "run/secrets/etc-pki-entitlement/1.pem", "");
        let subscriptions = Subscriptions::read(root.path()).unwrap();
        assert_eq!(
            shown(
                subscriptions.for_url("https://cdn.example/app/").unwrap(),
                root.path()
            ),
            [
                "run/secrets/rhsm/ca/redhat-uep.pem",
                "run/secrets/etc-pki-entitlement/1.pem",
                "run/secrets/etc-pki-entitlement/1-key.pem",
            ]
        );
    }

    #[test]
    fn a_machine_without_subscriptions_says_so() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &format!("{}/1-key.pem", HOST.entitlements), "");
        let error = Subscriptions::read(root.path()).unwrap_err();
        assert_eq!(error.to_string(), "No RHSM secrets found on this host.");
    }
}
