//! Fetches signed release files and remembers the newest, so that a mirror cannot go back to an older state.
//!
//! ```text
//! CACHE/
//!   releases/
//!     0a1b…ff.InRelease     the newest release file seen at the address whose SHA-256 is 0a1b…ff
//!     0a1b…ff.Release       the same where the signature stands beside it,
//!     0a1b…ff.Release.gpg   which is this
//! ```

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};

use super::{
    date, index_cache,
    keyring::Keyring,
    release::Release,
    repository::{LoadOptions, Repository},
    signature,
};

/// No release file is longer: those of the largest archives have a few hundred kilobytes.
const SIZE_LIMIT: u64 = 16 << 20;

/// A release file whose signature is good.
pub(super) struct SignedRelease {
    /// Where it came from: the address of `InRelease` or `Release`.
    pub(super) url: String,
    pub(super) release: Release,
    /// The file as it was fetched, signature included where it is inline.
    pub(super) content: Vec<u8>,
    /// The signature, where it is a file of its own.
    detached: Option<Vec<u8>>,
}

impl SignedRelease {
    /// Fetches the release file below `base`: the mirror's, or the newest one seen at this address if the mirror
    /// answers with an older one, as apt does. A mirror may be behind others of its name; only an attacker replays.
    pub(super) fn fetch(
        base: &str,
        repository: &Repository,
        keyring: &Keyring,
        options: &LoadOptions<'_>,
    ) -> Result<Self> {
        let check_dates = repository.check_valid_until;
        let check_suite = |found: &Self| {
            if repository.is_flat() {
                return Ok(());
            }
            found.release.check_suite(&found.url, &repository.suite)
        };
        let fetched = Self::download(base, keyring, options)?;
        check_suite(&fetched)?;
        if check_dates {
            fetched.release.check_date(&fetched.url, options.now)?;
        }
        if check_dates
            && let Some(newer) = Memory::new(options.cache, base)
                .recall(base, keyring, options.now)
                .filter(|seen| check_suite(seen).is_ok())
                .filter(|seen| seen.release.date() > fetched.release.date())
        {
            let date = |release: &Self| release.release.date().map(date::format);
            tracing::warn!(
                url = fetched.url,
                offered = date(&fetched),
                used = date(&newer),
                "the mirror offers an older state than it did before; the newer one is used"
            );
            return Ok(newer);
        }
        Ok(fetched)
    }

    /// Remembers the release file, to be called once everything it lists was had: a state that a mirror does not
    /// have whole yet must not stand in the way of the one before.
    pub(super) fn remember(&self, base: &str, cache: &Path) -> Result<()> {
        Memory::new(cache, base).keep(self)
    }

    fn download(base: &str, keyring: &Keyring, options: &LoadOptions<'_>) -> Result<Self> {
        let inline = format!("{base}/InRelease");
        if let Some(content) = options.download.download(&inline, SIZE_LIMIT)? {
            return Self::verified(inline, content, None, keyring, options.now);
        }
        let url = format!("{base}/Release");
        let Some(content) = options.download.download(&url, SIZE_LIMIT)? else {
            bail!(
                "there is neither {inline} nor a `Release` beside it; check the address and the suite"
            );
        };
        let Some(detached) = options
            .download
            .download(&format!("{url}.gpg"), SIZE_LIMIT)?
        else {
            return Err(signature::SignatureError::Missing { file: url }.into());
        };
        Self::verified(url, content, Some(detached), keyring, options.now)
    }

    fn verified(
        url: String,
        content: Vec<u8>,
        detached: Option<Vec<u8>>,
        keyring: &Keyring,
        now: SystemTime,
    ) -> Result<Self> {
        let text = std::str::from_utf8(&content).with_context(|| format!("{url} is not text"))?;
        let release = match &detached {
            None => {
                let signed = signature::verify_inline(&url, text, keyring, now)?;
                Release::parse(&signed)
            }
            Some(detached) => {
                signature::verify_detached(&url, &content, detached, keyring, now)?;
                Release::parse(text)
            }
        };
        let release = release.with_context(|| format!("reading {url}"))?;
        Ok(Self {
            url,
            release,
            content,
            detached,
        })
    }
}

/// What was seen at one address before.
struct Memory {
    directory: PathBuf,
    name: String,
}

impl Memory {
    fn new(cache: &Path, base: &str) -> Self {
        Self {
            directory: cache.join("releases"),
            name: index_cache::sha256(base.as_bytes()),
        }
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.directory.join(format!("{}.{suffix}", self.name))
    }

    /// The newest release file seen, if it would still be accepted today.
    fn recall(&self, base: &str, keyring: &Keyring, now: SystemTime) -> Option<SignedRelease> {
        let inline = fs_err::read(self.path("InRelease")).ok();
        let (name, content, detached) = match inline {
            Some(content) => ("InRelease", content, None),
            None => (
                "Release",
                fs_err::read(self.path("Release")).ok()?,
                Some(fs_err::read(self.path("Release.gpg")).ok()?),
            ),
        };
        let url = format!("{base}/{name}");
        let seen = SignedRelease::verified(url, content, detached, keyring, now).ok()?;
        seen.release.check_date(&seen.url, now).ok()?;
        Some(seen)
    }

    fn keep(&self, seen: &SignedRelease) -> Result<()> {
        let keeping = || format!("remembering {}", seen.url);
        fs_err::create_dir_all(&self.directory).with_context(keeping)?;
        let stale = match &seen.detached {
            None => ["Release", "Release.gpg"].as_slice(),
            // Before the content: a signature of another file only means that nothing is remembered.
            Some(detached) => {
                self.write("Release.gpg", detached).with_context(keeping)?;
                &["InRelease"]
            }
        };
        let name = match seen.detached {
            None => "InRelease",
            Some(_) => "Release",
        };
        self.write(name, &seen.content).with_context(keeping)?;
        for suffix in stale {
            match fs_err::remove_file(self.path(suffix)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(keeping);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn write(&self, suffix: &str, content: &[u8]) -> Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(content)?;
        file.persist(self.path(suffix))?;
        Ok(())
    }
}
