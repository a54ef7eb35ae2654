//! The digests that guard a package's payload, checked while it is read for another purpose.
//!
//! Of these there are two: the MD5 digest of header and payload, in the signature header, and since 2017 the SHA-256
//! digest of the payload, in the header. rpm takes a package whose payload is covered by one of them, if both are good
//! where they are present. The digests of the header itself are not looked at here: rpm does when it reads it.

use std::fmt::Write as _;
use std::io::{self, Read};

use anyhow::{Context, Result, bail};
use md5::Md5;
use sha2::{Digest, Sha256};

use super::package::Package;
use super::tag::{header as tag, signature};

/// SHA-256 among the digest algorithms of `OpenPGP`.
const SHA256: u64 = 8;
/// One read of a package.
const PIECE: usize = 256 * 1024;

/// The digests of one package, under way.
#[derive(Debug)]
pub struct Digests {
    package: String,
    md5: Option<(Md5, Vec<u8>)>,
    payload: Option<(Sha256, Vec<u8>)>,
}

impl Digests {
    /// Begins to check a package's payload; nothing if what guards it is not known here.
    pub fn begin(package: &Package) -> Result<Option<Self>> {
        let name = package.path().display().to_string();
        let doing = || format!("reading the digests of the package {name}");
        if package.is_format_6() {
            return Ok(None);
        }
        let algorithm = package.header.numbers(tag::PAYLOAD_DIGEST_ALGORITHM);
        let digest = package.header.texts(tag::PAYLOAD_DIGEST);
        let payload = match (
            algorithm.with_context(doing)?.as_slice(),
            digest.with_context(doing)?.as_slice(),
        ) {
            ([], []) => None,
            ([SHA256], [digest]) => Some((Sha256::new(), digest.to_ascii_lowercase())),
            _ => return Ok(None),
        };
        let md5 = package.signature.binary(signature::MD5);
        let md5 = md5.with_context(doing)?.map(|digest| {
            let mut hasher = Md5::new();
            hasher.update(package.header.bytes());
            (hasher, digest.to_vec())
        });
        if md5.is_none() && payload.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            package: name,
            md5,
            payload,
        }))
    }

    /// Takes the next bytes of the payload.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Some((hasher, _)) = &mut self.md5 {
            hasher.update(bytes);
        }
        if let Some((hasher, _)) = &mut self.payload {
            hasher.update(bytes);
        }
    }

    /// Compares, when all of the payload has been taken.
    pub fn finish(self) -> Result<()> {
        let is_md5_good = self
            .md5
            .is_none_or(|(hasher, wanted)| hasher.finalize()[..] == wanted[..]);
        let is_payload_good = self
            .payload
            .is_none_or(|(hasher, wanted)| hexadecimal(&hasher.finalize()).as_bytes() == wanted);
        for (is_good, what) in [(is_md5_good, "MD5"), (is_payload_good, "payload")] {
            if !is_good {
                bail!("the {what} digest of the package {} is wrong", self.package);
            }
        }
        Ok(())
    }
}

/// A payload whose digests are taken as it is read.
#[derive(Debug)]
pub struct CheckedPayload {
    file: std::fs::File,
    digests: Option<Digests>,
}

impl CheckedPayload {
    /// Opens the payload of a package, which must have digests that are known here.
    pub fn open(package: &Package) -> Result<Self> {
        let digests = Digests::begin(package)?;
        let digests = digests.with_context(|| {
            let path = package.path().display();
            format!("the package {path} has no digest that is known here")
        })?;
        Ok(Self {
            file: package.payload()?,
            digests: Some(digests),
        })
    }

    /// Reads what is left, and compares.
    pub fn finish(mut self) -> Result<()> {
        let mut piece = vec![0; PIECE];
        while self.read(&mut piece).context("reading a package")? > 0 {}
        self.digests.take().map_or(Ok(()), Digests::finish)
    }
}

impl Read for CheckedPayload {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        if let Some(digests) = &mut self.digests {
            digests.update(&buffer[..length]);
        }
        Ok(length)
    }
}

/// Writes bytes as hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}
