//! A signed repository of Debian packages, small enough for a test to say what is in it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedPublicKey,
    SignedSecretKey,
};
use pgp::ser::Serialize as _;
use pgp::types::Password;
use sha2::{Digest as _, Sha256};

/// Makes a key that may sign releases.
pub fn generate_key() -> SignedSecretKey {
    let mut parameters = SecretKeyParamsBuilder::default();
    parameters
        .key_type(KeyType::Ed25519Legacy)
        .can_certify(true)
        .can_sign(true)
        .primary_user_id("Archive <archive@mirror.invalid>".into());
    parameters
        .build()
        .expect("the parameters are complete")
        .generate(rand::thread_rng())
        .expect("a key can be made of random numbers")
}

/// Signs a text inline, as `InRelease` is.
pub fn sign_inline(key: &SignedSecretKey, text: &str) -> String {
    CleartextSignedMessage::sign(
        rand::thread_rng(),
        text,
        &key.primary_key,
        &Password::empty(),
    )
    .expect("the key can sign")
    .to_armored_string(ArmorOptions::default())
    .expect("a signed text can be written")
}

/// Writes a release file of the suite `stable` with one index, and further lines (each with its end).
pub fn release(extension: &str, index: &[u8], further: &str) -> String {
    format!(
        "Origin: Test\nSuite: stable\nCodename: trixie\nArchitectures: amd64\nComponents: main\nAcquire-By-Hash: yes\n\
         Date: Thu, 01 Jan 2026 00:00:00 UTC\n{further}SHA256:\n {} {} main/binary-amd64/Packages{extension}\n",
        sha256(index),
        index.len()
    )
}

/// The SHA-256 of something, in hexadecimal digits.
pub fn sha256(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string does not fail");
            text
        })
}

/// A repository in a folder, to be reached as `file://`, whose key is in a keyring beside it.
#[derive(Debug)]
pub struct DebRepository<'a> {
    /// The folder above `dists`.
    pub folder: &'a Path,
    /// What signs its releases.
    pub key: SignedSecretKey,
}

impl<'a> DebRepository<'a> {
    /// Makes the suite `stable` of this list of packages (an index as Debian writes it), signed.
    pub fn create(folder: &'a Path, packages: &str) -> Result<Self> {
        let repository = Self {
            folder,
            key: generate_key(),
        };
        repository.write("main/binary-amd64/Packages", packages.as_bytes())?;
        let release = release("", packages.as_bytes(), "");
        let signed = sign_inline(&repository.key, &release);
        repository.write("InRelease", signed.as_bytes())?;
        Ok(repository)
    }

    /// Writes the keyring that has its key.
    pub fn write_keyring(&self, file: &Path) -> Result<()> {
        let public = SignedPublicKey::from(self.key.clone());
        let bytes = public.to_bytes().context("writing the public key")?;
        fs_err::write(file, bytes)?;
        Ok(())
    }

    /// Puts a file into the suite's folder.
    pub fn write(&self, path: &str, content: &[u8]) -> Result<()> {
        let file = self.folder.join("dists/stable").join(path);
        if let Some(parent) = file.parent() {
            fs_err::create_dir_all(parent)?;
        }
        let mut file = fs_err::File::create(file)?;
        file.write_all(content)?;
        Ok(())
    }

    /// Reads a file of the suite's folder.
    pub fn read(&self, path: &str) -> Result<String> {
        Ok(fs_err::read_to_string(
            self.folder.join("dists/stable").join(path),
        )?)
    }
}
