//! `org.osbuild.curl`: files from URLs. The name is upstream's; the transfers are `osbuild-fetch`'s.

use std::path::Path;

use osbuild_fetch::{
    FetchError, FetchEvent, FetchRequest, Proxy, ServerVerification, fetch_all, quote_path,
};
use osbuild_manifest::value::Value as PythonValue;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::FILES;
use super::secrets::{Environment, apply};
use crate::{ItemHint, SourceEvent, SourceModule, SourceOutcome, SourceRequest, SourceResult};

const NAME: &str = "org.osbuild.curl";

/// The module.
#[derive(Debug)]
pub struct Curl;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    url: String,
    #[serde(default)]
    insecure: bool,
    secrets: Option<Secrets>,
}

impl SourceModule for Curl {
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
    let directory = request.cache.join(FILES);
    let (present, missing): (Vec<_>, Vec<_>) = request
        .items
        .iter()
        .partition(|(checksum, _)| directory.join(checksum).is_file());
    let mut results: Vec<_> = present
        .iter()
        .map(|(checksum, _)| SourceResult {
            checksum: Some((*checksum).clone()),
            cached: Some(true),
            error: None,
        })
        .collect();
    for (checksum, _) in &present {
        report(arrived(checksum));
    }
    let fetched = Downloads {
        directory: &directory,
        items: &missing,
        already_there: present.len(),
    }
    .fetch(request, environment, report);
    results.extend(fetched);
    SourceOutcome::new(NAME, results)
}

/// The items that are not in the cache.
struct Downloads<'a> {
    directory: &'a Path,
    items: &'a [(&'a String, &'a Value)],
    already_there: usize,
}

/// Which secrets an item needs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Secrets {
    name: String,
}

/// Why an item failed, and curl's exit status for such a failure.
struct ItemFailure {
    text: String,
    exit_code: u8,
}

impl Downloads<'_> {
    fn fetch(
        &self,
        request: &SourceRequest<'_>,
        environment: &Environment,
        report: &(dyn Fn(SourceEvent) + Sync),
    ) -> Vec<SourceResult> {
        if self.items.is_empty() {
            return Vec::new();
        }
        let mut outcomes: Vec<Option<ItemFailure>> = self.items.iter().map(|_| None).collect();
        let mut requests = Vec::new();
        let mut places = Vec::new();
        for (place, (checksum, item)) in self.items.iter().enumerate() {
            let hint = request.hints.get(checksum.as_str());
            match fetch_request(checksum, item, hint, environment, report) {
                Ok(fetch) => {
                    requests.push(fetch);
                    places.push(place);
                }
                Err(error) => {
                    outcomes[place] = Some(ItemFailure {
                        text: format!("{error:#}"),
                        exit_code: 2,
                    });
                }
            }
        }
        if let Err(error) = fs_err::create_dir_all(self.directory) {
            return vec![SourceResult {
                error: Some(error.to_string()),
                ..SourceResult::default()
            }];
        }
        let fetched = fetch_all(
            &requests,
            self.directory,
            &environment.fetch_options,
            request.cancel.flag(),
            &|event| {
                if let FetchEvent::Finished { index, .. } = event {
                    report(arrived(self.items[places[index]].0));
                }
                self.pass_on(event, report);
            },
        );
        for ((result, fetch), place) in fetched.into_iter().zip(&requests).zip(places) {
            outcomes[place] = result
                .err()
                .map(|error| item_failure(&error, self.items[place].0, &fetch.urls[0]));
        }
        self.results(&outcomes)
    }

    fn pass_on(&self, event: FetchEvent, report: &(dyn Fn(SourceEvent) + Sync)) {
        match event {
            FetchEvent::Progress {
                bytes_done,
                bytes_total,
                files_done,
                files_total,
            } => report(SourceEvent::Progress {
                bytes_done,
                bytes_total,
                files_done: files_done + self.already_there,
                files_total: files_total + self.already_there,
            }),
            FetchEvent::Retrying {
                url, reason, delay, ..
            } => report(SourceEvent::Warning(format!(
                "WARNING: failed to download {url}: {reason}; trying again in {:.1} s",
                delay.as_secs_f64()
            ))),
            FetchEvent::Finished { url: Some(url), .. } => {
                report(SourceEvent::Log(format!("Downloaded {url}")));
            }
            FetchEvent::Finished { url: None, .. } => {}
        }
    }

    /// One result for each item, and one that lists what is left.
    fn results(&self, outcomes: &[Option<ItemFailure>]) -> Vec<SourceResult> {
        let mut results: Vec<_> = self
            .items
            .iter()
            .zip(outcomes)
            .map(|((checksum, _), failure)| SourceResult {
                checksum: Some((*checksum).clone()),
                cached: failure.is_none().then_some(false),
                error: failure.as_ref().map(|failure| failure.text.clone()),
            })
            .collect();
        if let Some(last) = outcomes.iter().flatten().last() {
            let left: Vec<_> = self
                .items
                .iter()
                .zip(outcomes)
                .filter(|(_, failure)| failure.is_some())
                .map(|((checksum, item), _)| shown_item(checksum, item))
                .collect();
            results.push(SourceResult {
                error: Some(format!(
                    "curl: finished with return_code {} but [{}] left to download",
                    last.exit_code,
                    left.join(", ")
                )),
                ..SourceResult::default()
            });
        }
        results
    }
}

fn arrived(checksum: &str) -> SourceEvent {
    SourceEvent::Arrived {
        checksum: checksum.to_owned(),
    }
}

fn fetch_request(
    checksum: &str,
    item: &Value,
    hint: Option<&ItemHint>,
    environment: &Environment,
    report: &(dyn Fn(SourceEvent) + Sync),
) -> anyhow::Result<FetchRequest> {
    let item = match item {
        Value::String(url) => Item {
            url: url.clone(),
            insecure: false,
            secrets: None,
        },
        other => serde_json::from_value(other.clone())
            .map_err(|error| anyhow::anyhow!("reading the item {checksum}: {error}"))?,
    };
    let mut fetch = FetchRequest::new(quote_path(&item.url), checksum.parse()?);
    if let Some(hint) = hint {
        fetch.size = hint.size;
        if environment.fetch_options.proxy == Proxy::Environment {
            fetch.proxy.clone_from(&hint.proxy);
        }
    }
    if item.insecure {
        fetch.server_verification = ServerVerification::Skipped;
    }
    if let Some(secrets) = &item.secrets {
        apply(&secrets.name, &item.url, &mut fetch, environment, report)?;
    }
    Ok(fetch)
}

/// Upstream's words first, since other programs look for them; then what happened.
fn item_failure(error: &FetchError, checksum: &str, url: &str) -> ItemFailure {
    match error.cause() {
        FetchError::ChecksumMismatch { actual, .. } => ItemFailure {
            text: format!(
                "failed to move to target directory: checksum mismatch: {checksum} {url} \
                 (the file there has {actual}; has it been replaced?)"
            ),
            exit_code: 0,
        },
        cause => {
            let exit_code = curl_exit_code(cause);
            ItemFailure {
                text: format!("curl: error downloading {url}: exit code {exit_code} ({error})"),
                exit_code,
            }
        }
    }
}

/// The exit status that curl(1) gives to such a failure.
fn curl_exit_code(error: &FetchError) -> u8 {
    match error {
        FetchError::Url { url, .. } if url.starts_with("file:") => 37,
        FetchError::Url { .. } => 3,
        FetchError::Setup { .. } => 2,
        FetchError::Status { .. } => 22,
        FetchError::Redirects { .. } => 47,
        FetchError::Connect { reason, .. } if reason.contains("dns error") => 6,
        FetchError::Connect { reason, .. } if reason.contains("certificate") => 60,
        FetchError::Connect { .. } => 7,
        FetchError::Broken { .. } => 18,
        FetchError::Stalled { .. } => 28,
        FetchError::DiskFull { .. } | FetchError::Cache { .. } => 23,
        FetchError::Cancelled { .. } => 42,
        FetchError::ChecksumMismatch { .. } | FetchError::GaveUp { .. } => 0,
    }
}

/// An item as Python shows it: `('sha256:…', {'url': '…'})`.
fn shown_item(checksum: &str, item: &Value) -> String {
    let item = match item {
        Value::String(url) => {
            let mut object = Map::new();
            object.insert("url".to_owned(), Value::String(url.clone()));
            Value::Object(object)
        }
        other => other.clone(),
    };
    let repr = |value: &Value| {
        PythonValue::from_json(&value.to_string())
            .map_or_else(|_| value.to_string(), |value| value.to_python_repr())
    };
    format!(
        "({}, {})",
        repr(&Value::String(checksum.to_owned())),
        repr(&item)
    )
}
