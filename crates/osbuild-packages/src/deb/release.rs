//! Reads `Release` files: what a repository is, when, and the hashes of its indices.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail};

use super::{control, date};

/// How far a release's date may be ahead of ours before it is refused (apt's default).
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(10);
/// apt's priorities for versions of a repository, see `apt_preferences(5)`.
const PRIORITY: i32 = 500;
const PRIORITY_UPGRADES_ONLY: i32 = 100;
const PRIORITY_ON_REQUEST: i32 = 1;

/// The size and SHA-256 of one file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) sha256: String,
    pub(crate) size: u64,
}

/// A `Release` file.
#[derive(Debug, Clone, Default)]
pub(super) struct Release {
    pub(super) origin: String,
    pub(super) suite: String,
    pub(super) codename: String,
    pub(super) architectures: Vec<String>,
    pub(super) components: Vec<String>,
    pub(super) by_hash: bool,
    pub(super) pin_priority: i32,
    /// Whether packages of architecture `all` are also listed with every other architecture.
    pub(super) repeats_all: bool,
    files: HashMap<String, Listed>,
    /// `Date` as it is written.
    pub(super) date_text: Option<String>,
    date: Option<SystemTime>,
    valid_until: Option<SystemTime>,
}

impl Release {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let stanza = control::stanzas(text)
            .next()
            .context("the release file is empty")?;
        stanza.check()?;
        let text = |field: &str| stanza.get(field).unwrap_or("").to_owned();
        let words = |field: &str| stanza.words(field).map(str::to_owned).collect();
        let is_yes = |field: &str| {
            stanza
                .get(field)
                .is_some_and(|value| value.eq_ignore_ascii_case("yes"))
        };
        let time = |field: &'static str| {
            stanza
                .get(field)
                .map(date::parse)
                .transpose()
                .context(field)
        };
        let Some(hashes) = stanza.get("SHA256") else {
            bail!("the release file lists no SHA-256 hashes; older hashes prove nothing");
        };
        Ok(Self {
            origin: text("Origin"),
            suite: text("Suite"),
            codename: text("Codename"),
            architectures: words("Architectures"),
            components: words("Components"),
            by_hash: is_yes("Acquire-By-Hash"),
            pin_priority: match (is_yes("NotAutomatic"), is_yes("ButAutomaticUpgrades")) {
                (true, true) => PRIORITY_UPGRADES_ONLY,
                (true, false) => PRIORITY_ON_REQUEST,
                (false, _) => PRIORITY,
            },
            repeats_all: stanza
                .words("No-Support-for-Architecture-all")
                .any(|word| word == "Packages"),
            files: parse_files(hashes)?,
            date_text: stanza.get("Date").map(|date| date.trim().to_owned()),
            date: time("Date")?,
            valid_until: time("Valid-Until")?,
        })
    }

    pub(super) fn file(&self, path: &str) -> Option<&Listed> {
        self.files.get(path)
    }

    /// When the release was made.
    pub(super) fn date(&self) -> Option<SystemTime> {
        self.date
    }

    /// Checks that the release is the one that was asked for: a signature is as good for another suite of the same
    /// distribution, so a mirror could answer with any. Names are compared as apt does it (`metaIndex::CheckDist`),
    /// which only warns.
    ///
    /// # Errors
    /// The release calls itself something else. One that has no name may have any.
    pub(super) fn check_suite(&self, url: &str, suite: &str) -> Result<()> {
        let is_mine = |name: &str| name == self.suite || name == self.codename;
        // `bookworm/updates` is a directory of the suite `bookworm`.
        let upper = suite.rsplit_once('/').map_or(suite, |(upper, _)| upper);
        if is_mine(suite) || is_mine(upper) || (self.suite.is_empty() && self.codename.is_empty()) {
            return Ok(());
        }
        bail!(
            "{url} is the release file of `{}` (`{}`), not of `{suite}`: the mirror is broken or tampered with, \
             or the suite has another name",
            self.suite,
            self.codename,
        )
    }

    /// Checks that the release is neither from the future nor past its end.
    pub(super) fn check_date(&self, url: &str, now: SystemTime) -> Result<()> {
        if let Some(made) = self.date.filter(|&made| made > now + CLOCK_DIFFERENCE) {
            bail!(
                "{url} is dated {}, which is in the future; check this machine's clock",
                date::format(made)
            );
        }
        if let Some(end) = self.valid_until.filter(|&end| end < now) {
            bail!(
                "{url} was valid until {} only: the mirror is out of date, or someone replays an old state; \
                 use another mirror, or for a snapshot of the past set `check_valid_until: false`",
                date::format(end)
            );
        }
        Ok(())
    }
}

fn parse_files(field: &str) -> Result<HashMap<String, Listed>> {
    let mut files = HashMap::new();
    for line in field.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [sha256, size, path] = words[..] else {
            bail!("`{line}` is not a hash, a size and a path")
        };
        if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            bail!("`{sha256}` is not a SHA-256 hash");
        }
        let size = size
            .parse()
            .with_context(|| format!("reading the size in `{line}`"))?;
        files.insert(
            path.to_owned(),
            Listed {
                sha256: sha256.to_ascii_lowercase(),
                size,
            },
        );
    }
    Ok(files)
}
