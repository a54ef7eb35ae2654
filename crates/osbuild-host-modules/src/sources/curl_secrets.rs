//! What the curl source takes from its environment: a proxy, and certificates for items that ask for them.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use osbuild_fetch::{ClientCertificate, FetchOptions, FetchRequest, Proxy};
use serde::Deserialize;

use crate::SourceEvent;

/// Which secrets an item needs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Secrets {
    name: String,
}

/// What the caller's environment says.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    pub(super) fetch_options: FetchOptions,
    pub(super) client_certificate: Option<OsString>,
    pub(super) client_key: Option<OsString>,
    pub(super) certificate_authority: Option<OsString>,
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
        }
    }
}

/// Adds to a request what its secrets stand for.
pub(super) fn apply(
    secrets: &Secrets,
    request: &mut FetchRequest,
    environment: &Environment,
    report: &(dyn Fn(SourceEvent) + Sync),
) -> Result<()> {
    match secrets.name.as_str() {
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
        "org.osbuild.rhsm" => bail!(
            "`{}` needs `org.osbuild.rhsm` secrets, and Red Hat subscriptions are not supported yet; \
             use `org.osbuild.mtls` with the entitlement's certificate and key",
            request.urls[0]
        ),
        // Upstream goes on without a word.
        other => report(SourceEvent::Log(format!(
            "WARNING: unknown secrets provider `{other}` for {}: going on without secrets",
            request.urls[0]
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
