//! HTTP clients, one for each way to do TLS and each proxy, made when first needed.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity, NoProxy};

use crate::{ClientCertificate, FetchOptions, FetchRequest, Proxy, ServerVerification};

/// Longer chains than any mirror service's; curl's own limit is 50.
const MOST_REDIRECTS: usize = 20;

/// The clients of one run; each keeps its connections open for the next file.
pub(crate) struct Clients {
    options: FetchOptions,
    made: Mutex<HashMap<ClientProfile, Client>>,
}

/// What makes connections unfit to be shared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct ClientProfile {
    server_verification: ServerVerification,
    client_certificate: Option<ClientCertificate>,
    certificate_authority: Option<PathBuf>,
    /// Instead of the options'.
    proxy: Option<Proxy>,
    roots: Roots,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Roots {
    #[default]
    System,
    /// A machine without a certificate bundle can still do plain HTTP.
    NoneNeeded,
}

impl ClientProfile {
    pub(crate) fn of(request: &FetchRequest) -> Self {
        Self {
            server_verification: request.server_verification,
            client_certificate: request.client_certificate.clone(),
            certificate_authority: request.certificate_authority.clone(),
            proxy: request.proxy.clone(),
            roots: Roots::System,
        }
    }
}

impl Clients {
    pub(crate) fn new(options: &FetchOptions) -> Self {
        // A second call finds the provider of the first; both are ring.
        if rustls::crypto::ring::default_provider()
            .install_default()
            .is_err()
        {
            tracing::trace!("a TLS provider is installed already");
        }
        Self {
            options: options.clone(),
            made: Mutex::default(),
        }
    }

    /// The client to fetch a URL with.
    pub(crate) fn get(&self, profile: &ClientProfile, url: &str) -> Result<Client> {
        match self.get_or_build(profile) {
            // The platform's verifier cannot be made on a machine without certificates.
            Err(error) if url.starts_with("http:") => {
                tracing::debug!("going without certificate authorities: {error:#}");
                self.get_or_build(&ClientProfile {
                    roots: Roots::NoneNeeded,
                    ..profile.clone()
                })
            }
            other => other,
        }
    }

    fn get_or_build(&self, profile: &ClientProfile) -> Result<Client> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = made.get(profile) {
            return Ok(client.clone());
        }
        let client = build(&self.options, profile)?;
        made.insert(profile.clone(), client.clone());
        Ok(client)
    }
}

fn build(options: &FetchOptions, profile: &ClientProfile) -> Result<Client> {
    let mut builder = Client::builder()
        .user_agent(&options.user_agent)
        .connect_timeout(options.connect_timeout)
        .redirect(Policy::limited(MOST_REDIRECTS))
        .referer(false)
        .http2_adaptive_window(true)
        .hickory_dns(true)
        .pool_max_idle_per_host(options.per_host.get());
    builder = with_proxy(builder, profile.proxy.as_ref().unwrap_or(&options.proxy))?;
    if profile.server_verification == ServerVerification::Skipped {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    if let Some(path) = &profile.certificate_authority {
        let bundle = fs_err::read(path)?;
        let certificates = Certificate::from_pem_bundle(&bundle)
            .with_context(|| format!("reading the certificates in `{}`", path.display()))?;
        builder = builder.tls_certs_only(certificates);
    } else if profile.roots == Roots::NoneNeeded {
        builder = builder.tls_certs_only([]);
    }
    if let Some(certificate) = &profile.client_certificate {
        builder = builder.identity(identity(certificate)?);
    }
    builder
        .build()
        .context("setting up TLS (are certificate authorities installed, as in `ca-certificates`?)")
}

fn with_proxy(builder: ClientBuilder, proxy: &Proxy) -> Result<ClientBuilder> {
    Ok(match proxy {
        Proxy::Environment => builder,
        Proxy::Direct => builder.no_proxy(),
        Proxy::Url(url) => {
            let proxy = reqwest::Proxy::all(url)
                .with_context(|| format!("`{url}` is no proxy"))?
                .no_proxy(NoProxy::from_env());
            builder.no_proxy().proxy(proxy)
        }
    })
}

fn identity(certificate: &ClientCertificate) -> Result<Identity> {
    let mut pem = fs_err::read(&certificate.certificate)?;
    // A file that ends without a newline would swallow the first line of the next.
    pem.push(b'\n');
    pem.extend(fs_err::read(&certificate.key)?);
    Identity::from_pem(&pem).with_context(|| {
        format!(
            "reading the client certificate `{}` and key `{}` (PEM, key not encrypted)",
            certificate.certificate.display(),
            certificate.key.display()
        )
    })
}
