//! What the curl and librepo sources take from their environment: a proxy, and certificates for what asks for them.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use osbuild_fetch::{ClientCertificate, FetchOptions, FetchRequest, Proxy};

use super::subscriptions::{Entitlement, Subscriptions};
use crate::SourceEvent;

/// What the caller's environment says.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    pub(super) fetch_options: FetchOptions,
    pub(super) client_certificate: Option<OsString>,
    pub(super) client_key: Option<OsString>,
    pub(super) certificate_authority: Option<OsString>,
    /// The root of the system whose subscriptions are used.
    pub(super) root: PathBuf,
    /// They are read when they are first needed.
    subscriptions: OnceLock<Result<Subscriptions, String>>,
}

impl Environment {
    /// Reads the variables that upstream documents, and two of our own: `…_TRIES`, how often a file is
    /// tried, and `…_PATIENCE`, the seconds after which a silent server is given up. Empty ones count
    /// as unset.
    pub(super) fn read() -> Self {
        let read = |name: &str| {
            std::env::var_os(format!("OSBUILD_SOURCES_CURL_{name}"))
                .filter(|value| !value.is_empty())
        };
        let proxy = read("PROXY").map_or(Proxy::Environment, |url| {
            Proxy::Url(url.to_string_lossy().into_owned())
        });
        let mut fetch_options = FetchOptions {
            proxy,
            ..FetchOptions::default()
        };
        if let Some(tries) = read("TRIES").and_then(|text| number("TRIES", &text)) {
            fetch_options.tries = tries;
        }
        if let Some(seconds) = read("PATIENCE").and_then(|text| number("PATIENCE", &text)) {
            let patience = Duration::from_secs(seconds.get() as u64);
            fetch_options.speed_limit.patience = patience;
            fetch_options.connect_timeout = patience;
        }
        Self {
            fetch_options,
            client_certificate: read("SSL_CLIENT_CERT"),
            client_key: read("SSL_CLIENT_KEY"),
            certificate_authority: read("SSL_CA_CERT"),
            root: PathBuf::from("/"),
            subscriptions: OnceLock::new(),
        }
    }

    fn entitlement(&self, url: &str) -> Result<&Entitlement> {
        self.subscriptions
            .get_or_init(|| Subscriptions::read(&self.root).map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|error| anyhow!("{error}"))?
            .for_url(url)
    }
}

/// Adds to a request what secrets of this name stand for; `url` is what the manifest says.
pub(super) fn apply(
    name: &str,
    url: &str,
    request: &mut FetchRequest,
    environment: &Environment,
    report: &(dyn Fn(SourceEvent) + Sync),
) -> Result<()> {
    match name {
        "org.osbuild.mtls" => {
            let (Some(certificate), Some(key)) =
                (&environment.client_certificate, &environment.client_key)
            else {
                bail!(
                    "mtls secrets required but key ({}) or cert ({}) not defined; set \
                     OSBUILD_SOURCES_CURL_SSL_CLIENT_KEY and OSBUILD_SOURCES_CURL_SSL_CLIENT_CERT",
                    shown(environment.client_key.as_ref()),
                    shown(environment.client_certificate.as_ref()),
                );
            };
            request.client_certificate = Some(ClientCertificate {
                certificate: PathBuf::from(certificate),
                key: PathBuf::from(key),
            });
            request.certificate_authority = environment
                .certificate_authority
                .as_ref()
                .map(PathBuf::from);
        }
        "org.osbuild.rhsm" => {
            let entitlement = environment.entitlement(url)?;
            request.client_certificate = Some(entitlement.client_certificate.clone());
            request
                .certificate_authority
                .clone_from(&entitlement.certificate_authority);
        }
        // Upstream goes on without a word.
        other => report(SourceEvent::Warning(format!(
            "WARNING: unknown secrets provider `{other}` for {url}: going on without secrets"
        ))),
    }
    Ok(())
}

/// Reads a number above zero; with anything else, the default stays.
fn number(name: &str, text: &OsString) -> Option<NonZeroUsize> {
    let number = text.to_str().and_then(|text| text.parse().ok());
    if number.is_none() {
        tracing::warn!("OSBUILD_SOURCES_CURL_{name} is {text:?}, which is no number above zero");
    }
    number
}

/// As Python shows it.
fn shown(value: Option<&OsString>) -> String {
    value.map_or_else(
        || "None".to_owned(),
        |value| value.to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriptions_certificate_is_shown_to_the_servers_it_is_for() {
        let root = tempfile::tempdir().unwrap();
        let environment = Environment {
            root: root.path().to_owned(),
            ..Environment::default()
        };
        let url = "https://cdn.example/a b";
        let checksum = format!("sha256:{:064}", 0).parse().unwrap();
        let mut request = FetchRequest::new("https://cdn.example/a%20b", checksum);
        let error = apply("org.osbuild.rhsm", url, &mut request, &environment, &|_| {});
        assert_eq!(
            error.unwrap_err().to_string(),
            "No RHSM secrets found on this host."
        );

        let folder = root.path().join("etc/yum.repos.d");
        fs_err::create_dir_all(&folder).unwrap();
        let text = "[x]\nbaseurl=https://cdn.example/a b\nsslclientkey=/k\nsslclientcert=/c\nsslcacert=/a\n";
        fs_err::write(folder.join("redhat.repo"), text).unwrap();
        let environment = Environment {
            root: root.path().to_owned(),
            ..Environment::default()
        };
        apply("org.osbuild.rhsm", url, &mut request, &environment, &|_| {}).unwrap();
        assert_eq!(
            (request.client_certificate, request.certificate_authority),
            (
                Some(ClientCertificate {
                    certificate: "/c".into(),
                    key: "/k".into(),
                }),
                Some("/a".into())
            )
        );
    }
}
