//! Notes which state of each suite was read, for the lock.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};
use osbuild_packages::deb::date;
use osbuild_packages::deb::download::Download;
use osbuild_packages::deb::repository::Repository as Archive;

use crate::lock::{LockedRepository, digest};

/// A download that remembers the release files that went through it.
pub(super) struct Recorder<'a> {
    inner: &'a dyn Download,
    releases: Mutex<BTreeMap<String, ReleaseFile>>,
}

struct ReleaseFile {
    sha256: String,
    date: Option<String>,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(inner: &'a dyn Download) -> Self {
        Self {
            inner,
            releases: Mutex::default(),
        }
    }

    /// The state of each archive that was read, and the newest date among them.
    pub(super) fn snapshot(&self, archives: &[Archive]) -> Result<(Vec<LockedRepository>, i64)> {
        let releases = self
            .releases
            .lock()
            .expect("no download panics while it records");
        let mut repositories = Vec::new();
        let mut newest = 0;
        for archive in archives {
            // An archive may be passed over, for example when it is for other architectures only.
            let Some(release) = release_of(archive, &releases) else {
                continue;
            };
            let (address, suite) = (&archive.uri, &archive.suite);
            let date = release
                .date
                .clone()
                .with_context(|| format!("the release file of {address} {suite} has no date"))?;
            let seconds = seconds_since_1970(&date)
                .with_context(|| format!("reading the date of {address} {suite}"))?;
            newest = newest.max(seconds);
            repositories.push(LockedRepository {
                address: address.clone(),
                suite: suite.clone(),
                date,
                in_release_sha256: release.sha256.clone(),
            });
        }
        Ok((repositories, newest))
    }
}

fn release_of<'a>(
    archive: &Archive,
    releases: &'a BTreeMap<String, ReleaseFile>,
) -> Option<&'a ReleaseFile> {
    let base = archive.uri.trim_end_matches('/');
    let folder = match archive.suite.strip_suffix('/') {
        Some(path) => format!("{base}/{}", path.trim_start_matches("./")),
        None => format!("{base}/dists/{}", archive.suite),
    };
    let folder = folder.trim_end_matches('/');
    ["InRelease", "Release"]
        .iter()
        .find_map(|name| releases.get(&format!("{folder}/{name}")))
}

impl Download for Recorder<'_> {
    fn download(&self, url: &str) -> Result<Option<Vec<u8>>> {
        let content = self.inner.download(url)?;
        let name = url.rsplit('/').next().unwrap_or_default();
        if let (Some(bytes), "InRelease" | "Release") = (&content, name) {
            let text = String::from_utf8_lossy(bytes);
            let date = text.lines().find_map(|line| line.strip_prefix("Date:"));
            let release = ReleaseFile {
                sha256: digest(bytes).trim_start_matches("sha256:").to_owned(),
                date: date.map(|date| date.trim().to_owned()),
            };
            let mut releases = self.releases.lock().expect("recording never panics");
            releases.insert(url.to_owned(), release);
        }
        Ok(content)
    }
}

/// Reads the date of a release file, `Sat, 10 Jan 2026 09:13:41 UTC`.
fn seconds_since_1970(text: &str) -> Result<i64> {
    let since = date::parse(text)?.duration_since(UNIX_EPOCH)?;
    Ok(since.as_secs().try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        for (date, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 UTC", Some(0)),
            ("Sat, 10 Jan 2026 09:13:41 UTC", Some(1_768_036_421)),
            ("Thu, 29 Feb 2024 23:59:59 +0000", Some(1_709_251_199)),
            ("Sat, 10 Jan 2026 09:13:41 CET", None),
            ("yesterday", None),
        ] {
            assert_eq!(seconds_since_1970(date).ok(), seconds, "{date}");
        }
    }
}
