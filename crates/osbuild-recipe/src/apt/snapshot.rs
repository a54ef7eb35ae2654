//! Which state of each suite was read, for the lock.

use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};
use osbuild_packages::deb::date;
use osbuild_packages::deb::repository::{Repository as Archive, RepositoryState};

use crate::lock::LockedRepository;

/// The state of each archive that was read, and the newest date among them in seconds since 1970.
pub(super) fn snapshot(
    archives: &[Archive],
    states: &[Option<RepositoryState>],
) -> Result<(Vec<LockedRepository>, i64)> {
    let mut repositories = Vec::new();
    let mut newest = 0;
    for (archive, state) in archives.iter().zip(states) {
        // An archive may be passed over, for example when it is for other architectures only.
        let Some(state) = state else { continue };
        let (address, suite) = (&archive.uri, &archive.suite);
        let date = state
            .date
            .clone()
            .with_context(|| format!("the release file of {address} {suite} has no date"))?;
        let seconds = seconds_since_1970(&date)
            .with_context(|| format!("reading the date of {address} {suite}"))?;
        newest = newest.max(seconds);
        repositories.push(LockedRepository {
            address: address.clone(),
            suite: Some(suite.clone()),
            date,
            in_release_sha256: Some(state.release_sha256.clone()),
            repomd_sha256: None,
        });
    }
    Ok((repositories, newest))
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
