//! The keys that may sign a repository.

use std::{
    borrow::Cow,
    io::{Cursor, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use pgp::{
    armor::Dearmor,
    composed::{Deserializable as _, SignedPublicKey},
    packet::PacketHeader,
    types::{KeyDetails as _, PacketLength, Tag},
};

/// Where apt looks for keys when a source names none.
const TRUSTED_FILE: &str = "etc/apt/trusted.gpg";
const TRUSTED_DIRECTORY: &str = "etc/apt/trusted.gpg.d";
/// Where packages put keyrings; apt uses one of them only for sources that name it.
const SHARED_DIRECTORY: &str = "usr/share/keyrings";
/// The kinds of keyring files.
const KEYRING_SUFFIXES: [&str; 3] = [".gpg", ".pgp", ".asc"];

/// Keys and the files they came from.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    pub(super) keys: Vec<TrustedKey>,
    sources: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct TrustedKey {
    pub(super) certificate: SignedPublicKey,
    pub(super) source: String,
}

impl Keyring {
    /// Reads keyring files, binary or armored.
    pub fn read(files: &[PathBuf]) -> Result<Self> {
        let mut keyring = Self::default();
        for file in files {
            let bytes = fs_err::read(file)
                .with_context(|| format!("reading the keyring {}", file.display()))?;
            keyring.add(&bytes, &file.display().to_string())?;
        }
        Ok(keyring)
    }

    /// Reads the keyrings that apt and the distribution trust by default, under `root`.
    pub fn read_default(root: &Path) -> Result<Self> {
        Self::read(&default_keyring_files(root)?)
    }

    /// Adds the keys in `bytes`, binary or armored; `source` names them in messages.
    pub fn add(&mut self, bytes: &[u8], source: &str) -> Result<()> {
        self.sources.push(source.to_owned());
        if bytes.get(8..12) == Some(b"KBXf") {
            bail!("the keyring {source} is a GnuPG keybox; export its keys with `gpg --export`");
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let reading = || format!("reading the keyring {source}");
        // The first bit of every packet is set, and of no character of armor.
        let bytes = if bytes[0] & 0x80 == 0 {
            let mut unarmored = Vec::new();
            Dearmor::new(bytes)
                .read_to_end(&mut unarmored)
                .with_context(reading)?;
            Cow::Owned(unarmored)
        } else {
            Cow::Borrowed(bytes)
        };
        let packets = without_trust(&bytes);
        let keys = SignedPublicKey::from_bytes_many(Cursor::new(packets)).with_context(reading)?;
        let before = self.keys.len();
        for key in keys {
            match key {
                Ok(certificate) => self.keys.push(TrustedKey {
                    certificate,
                    source: source.to_owned(),
                }),
                // A keyring may hold keys of kinds we do not know beside the one that is needed.
                Err(error) => {
                    tracing::debug!(%error, keyring = source, "skipping a key that cannot be read");
                }
            }
        }
        if self.keys.len() == before {
            bail!("the keyring {source} has no OpenPGP key");
        }
        Ok(())
    }

    /// Keeps only the keys with one of these fingerprints (of the key or one of its subkeys).
    #[must_use]
    pub fn only(mut self, fingerprints: &[String]) -> Self {
        let wanted: Vec<String> = fingerprints
            .iter()
            .map(|fingerprint| fingerprint.trim_end_matches('!').to_ascii_lowercase())
            .collect();
        self.keys.retain(|key| {
            let certificate = &key.certificate;
            let own = certificate
                .public_subkeys
                .iter()
                .map(pgp::types::KeyDetails::fingerprint);
            own.chain([certificate.fingerprint()])
                .any(|fingerprint| wanted.contains(&fingerprint.to_string().to_ascii_lowercase()))
        });
        self
    }

    /// The files and other places that were read, for messages.
    pub fn sources(&self) -> String {
        if self.sources.is_empty() {
            return "(no keyring)".to_owned();
        }
        self.sources.join(", ")
    }
}

/// Leaves out the notes that `GnuPG` writes between the packets of its own keyring files, as Ubuntu's is one.
///
/// Trust packets "should be ignored on any input other than local keyring files" (RFC 9580, 5.10). For the parser a
/// key ends at one, so that the signatures behind would belong to nothing.
fn without_trust(packets: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(packets.len());
    let mut rest = packets;
    while !rest.is_empty() {
        let mut behind_header = rest;
        let header = PacketHeader::try_from_reader(&mut behind_header);
        let end = header.as_ref().ok().and_then(|header| {
            let PacketLength::Fixed(length) = header.packet_length() else {
                return None;
            };
            let of_header = rest.len() - behind_header.len();
            of_header.checked_add(usize::try_from(length).ok()?)
        });
        // What is no packet of known length is for the parser to tell about.
        let (packet, further) = rest.split_at(end.unwrap_or(rest.len()).min(rest.len()));
        if !header.is_ok_and(|header| header.tag() == Tag::Trust) {
            kept.extend_from_slice(packet);
        }
        rest = further;
    }
    kept
}

/// The keyring files that are trusted when nothing else is named: apt's own, and that of the archive which the system
/// below `root` came from (`debian-archive-keyring`, `ubuntu-archive-keyring`). Vendors' keyrings stand beside the
/// latter under like names; their keys are good for their own repositories only.
pub fn default_keyring_files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let trusted = root.join(TRUSTED_FILE);
    if fs_err::metadata(&trusted).is_ok_and(|metadata| metadata.len() > 0) {
        files.push(trusted);
    }
    files.extend(files_ending_with(
        &root.join(TRUSTED_DIRECTORY),
        &[".gpg", ".asc"],
    )?);
    if let Some(distribution) = distribution(root) {
        let own = KEYRING_SUFFIXES.map(|suffix| {
            let name = format!("{distribution}-archive-keyring{suffix}");
            root.join(SHARED_DIRECTORY).join(name)
        });
        files.extend(own.into_iter().filter(|file| file.exists()));
    }
    Ok(files)
}

/// The `ID` of `os-release(5)`, if it can be part of a file's name.
fn distribution(root: &Path) -> Option<String> {
    let description = fs_err::read_to_string(root.join("etc/os-release")).ok()?;
    let id = description
        .lines()
        .find_map(|line| line.strip_prefix("ID="))?;
    let id = id.trim().trim_matches(['"', '\'']);
    id.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        .then(|| id.to_owned())
}

fn files_ending_with(directory: &Path, suffixes: &[&str]) -> Result<Vec<PathBuf>> {
    let entries = match fs_err::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context("looking for keyrings"),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.context("looking for keyrings")?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if suffixes.iter().any(|suffix| name.ends_with(suffix)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyrings_of_vendors_are_not_trusted_for_everything() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, content: &str| {
            let file = root.path().join(path);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, content).unwrap();
        };
        put("etc/apt/trusted.gpg.d/own.asc", "key");
        put("etc/apt/trusted.gpg.d/note.txt", "none");
        for name in ["debian", "docker", "ubuntu"] {
            put(
                &format!("usr/share/keyrings/{name}-archive-keyring.gpg"),
                "key",
            );
        }
        let names = || {
            let files = default_keyring_files(root.path()).unwrap();
            let names = files
                .iter()
                .map(|file| file.file_name().unwrap().to_owned());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names(), ["own.asc"]);
        put("etc/os-release", "NAME=x\nID=\"debian\"\n");
        assert_eq!(names(), ["own.asc", "debian-archive-keyring.gpg"]);
        put("etc/os-release", "ID=../keyrings/docker\n");
        assert_eq!(names(), ["own.asc"]);
    }
}
