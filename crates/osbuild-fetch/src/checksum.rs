//! Checksums as osbuild writes them: `sha256:<hex>`.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use md5::{Digest as _, Md5};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};

/// A hash algorithm a checksum may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// MD5; accepted because manifests use it, worthless against an attacker.
    Md5,
    /// SHA-1; accepted because manifests use it, weak against an attacker.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// Every algorithm, weakest first.
    pub const ALL: [Self; 5] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
    ];

    /// The name used in front of the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    fn hex_length(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha1 => 40,
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }
}

/// The algorithm and lower-case hex digest that a file must have.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Checksum {
    algorithm: Algorithm,
    hex: String,
}

/// A text that is no checksum.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChecksumSyntaxError {
    /// There is no known algorithm in front of a colon.
    #[error("`{0}` is no checksum: expected one of md5, sha1, sha256, sha384, sha512 and a colon")]
    UnknownAlgorithm(String),
    /// The digest has the wrong length for its algorithm.
    #[error("`{text}` is no checksum: {algorithm} has {expected} hex digits, not {found}")]
    Length {
        /// The text that was read.
        text: String,
        /// The algorithm it names.
        algorithm: &'static str,
        /// How many digits that algorithm has.
        expected: usize,
        /// How many were there.
        found: usize,
    },
    /// The digest holds something else than lower-case hex digits.
    #[error("`{0}` is no checksum: its digest is not lower-case hex")]
    NotHex(String),
}

impl Checksum {
    /// Makes a checksum of an algorithm and its lower-case hex digest.
    pub fn new(algorithm: Algorithm, hex: &str) -> Result<Self, ChecksumSyntaxError> {
        format!("{}:{hex}", algorithm.name()).parse()
    }

    /// The algorithm of the digest.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The digest in lower-case hex.
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.algorithm.name(), self.hex)
    }
}

impl FromStr for Checksum {
    type Err = ChecksumSyntaxError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || ChecksumSyntaxError::UnknownAlgorithm(text.to_owned());
        let (name, hex) = text.split_once(':').ok_or_else(unknown)?;
        let algorithm = Algorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or_else(unknown)?;
        if !hex
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(ChecksumSyntaxError::NotHex(text.to_owned()));
        }
        if hex.len() != algorithm.hex_length() {
            return Err(ChecksumSyntaxError::Length {
                text: text.to_owned(),
                algorithm: algorithm.name(),
                expected: algorithm.hex_length(),
                found: hex.len(),
            });
        }
        Ok(Self {
            algorithm,
            hex: hex.to_owned(),
        })
    }
}

/// Computes a checksum piece by piece.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Md5(Md5),
    /// ring's code is in the program for TLS; on processors without instructions for SHA it is twice as fast as `sha2`.
    Sha(Algorithm, Context),
}

impl Hasher {
    /// Starts a digest.
    pub fn new(algorithm: Algorithm) -> Self {
        let sha = match algorithm {
            Algorithm::Md5 => return Self(State::Md5(Md5::new())),
            Algorithm::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            Algorithm::Sha256 => &SHA256,
            Algorithm::Sha384 => &SHA384,
            Algorithm::Sha512 => &SHA512,
        };
        Self(State::Sha(algorithm, Context::new(sha)))
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Md5(state) => state.update(bytes),
            State::Sha(_, state) => state.update(bytes),
        }
    }

    /// Ends the digest.
    pub fn finish(self) -> Checksum {
        match self.0 {
            State::Md5(state) => checksum(Algorithm::Md5, &state.finalize()),
            State::Sha(algorithm, state) => checksum(algorithm, state.finish().as_ref()),
        }
    }
}

fn checksum(algorithm: Algorithm, digest: &[u8]) -> Checksum {
    let mut hex = String::with_capacity(digest.len() * 2);
    for byte in digest {
        write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
    }
    Checksum { algorithm, hex }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digests of `abc`, from RFC 1321 and FIPS 180-4.
    const OF_ABC: [&str; 5] = [
        "md5:900150983cd24fb0d6963f7d28e17f72",
        "sha1:a9993e364706816aba3e25717850c26c9cd0d89d",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha384:cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    ];

    #[test]
    fn every_algorithm_gives_its_published_digest() {
        for text in OF_ABC {
            let expected: Checksum = text.parse().unwrap();
            let mut hasher = Hasher::new(expected.algorithm());
            hasher.update(b"a");
            hasher.update(b"bc");
            assert_eq!(hasher.finish(), expected);
            assert_eq!(expected.to_string(), text);
        }
    }

    #[test]
    fn wrong_texts_are_refused_with_what_is_wrong() {
        let error = |text: &str| text.parse::<Checksum>().unwrap_err().to_string();
        assert_eq!(
            error("crc32:00"),
            "`crc32:00` is no checksum: expected one of md5, sha1, sha256, sha384, sha512 and a colon"
        );
        assert_eq!(
            error("md5:00"),
            "`md5:00` is no checksum: md5 has 32 hex digits, not 2"
        );
        assert_eq!(
            error("md5:../../../../../../../../../etc/x"),
            "`md5:../../../../../../../../../etc/x` is no checksum: its digest is not lower-case hex"
        );
    }
}
