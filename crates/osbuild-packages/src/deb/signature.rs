//! Checks `OpenPGP` signatures of release files.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pgp::{
    composed::{CleartextSignedMessage, Deserializable as _, DetachedSignature},
    crypto::hash::HashAlgorithm,
    packet::{Signature, SignatureType},
    types::{KeyDetails, Tag, VerifyingKey},
};

use super::keyring::{Keyring, TrustedKey};

/// The line that begins an inline-signed file.
const CLEARTEXT_HEADER: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
/// How far a signature's time may be ahead of ours.
const CLOCK_DIFFERENCE: Duration = Duration::from_mins(5);

/// Why a signature was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The file carries no signature.
    #[error(
        "{file} is not signed; the mirror is broken, or something between here and there replaced the file"
    )]
    Missing {
        /// The address of the file.
        file: String,
    },
    /// The signature cannot be parsed.
    #[error("the signature of {file} cannot be read: {reason}")]
    Malformed {
        /// The address of the file.
        file: String,
        /// What the parser said.
        reason: String,
    },
    /// No keyring has the key.
    #[error(
        "{file} is signed by {} and none of these keys is in {keyrings}; name the keyring of this repository (`keyring:`), \
         or install the package that has it (for Debian: debian-archive-keyring)",
        keys.join(", ")
    )]
    UnknownKey {
        /// The address of the file.
        file: String,
        /// The ids of the keys that signed it.
        keys: Vec<String>,
        /// Where keys were looked for.
        keyrings: String,
    },
    /// The key is known and the signature is not its.
    #[error(
        "{file} does not match its signature by key {key} ({keyring}): the file was changed after it was signed; try another mirror"
    )]
    Wrong {
        /// The address of the file.
        file: String,
        /// The id of the key.
        key: String,
        /// The keyring file that has the key.
        keyring: String,
    },
    /// The signature was made by a key that had expired, or was only meant to last until a time that is past.
    #[error(
        "the {what} of {file}, key {key} ({keyring}), expired on {when}; update the keyring, and check this machine's clock"
    )]
    Expired {
        /// The address of the file.
        file: String,
        /// `signature` or `signing key`.
        what: &'static str,
        /// The id of the key.
        key: String,
        /// The keyring file that has the key.
        keyring: String,
        /// The date of expiry.
        when: String,
    },
    /// The signature's time is in the future.
    #[error(
        "the signature of {file} by key {key} was made on {when}, which is in the future; check this machine's clock"
    )]
    FromTheFuture {
        /// The address of the file.
        file: String,
        /// The id of the key.
        key: String,
        /// The time it claims.
        when: String,
    },
    /// The key was revoked by its owner.
    #[error(
        "{file} is signed by key {key} ({keyring}), which its owner has revoked; update the keyring"
    )]
    Revoked {
        /// The address of the file.
        file: String,
        /// The id of the key.
        key: String,
        /// The keyring file that has the key.
        keyring: String,
    },
    /// The key may not sign, or the hash is too weak to mean anything.
    #[error("the signature of {file} by key {key} is not acceptable: {reason}")]
    Unacceptable {
        /// The address of the file.
        file: String,
        /// The id of the key.
        key: String,
        /// Why.
        reason: String,
    },
}

/// Checks an inline-signed file and returns the text that was signed.
pub fn verify_inline(
    file: &str,
    text: &str,
    keyring: &Keyring,
    now: SystemTime,
) -> Result<String, SignatureError> {
    if !text.trim_start().starts_with(CLEARTEXT_HEADER) {
        return Err(SignatureError::Missing {
            file: file.to_owned(),
        });
    }
    let (message, _) =
        CleartextSignedMessage::from_string(text).map_err(|error| malformed(file, &error))?;
    let signed = message.signed_text();
    let signatures: Vec<&Signature> = message.signatures().iter().collect();
    verify_any(file, &signatures, signed.as_bytes(), keyring, now)?;
    Ok(signed.replace("\r\n", "\n"))
}

/// Checks a file against a signature that lies beside it.
pub fn verify_detached(
    file: &str,
    content: &[u8],
    signature: &[u8],
    keyring: &Keyring,
    now: SystemTime,
) -> Result<(), SignatureError> {
    let (signatures, _) = DetachedSignature::from_reader_many(std::io::Cursor::new(signature))
        .map_err(|error| malformed(file, &error))?;
    let signatures: Vec<DetachedSignature> = signatures
        .collect::<Result<_, _>>()
        .map_err(|error| malformed(file, &error))?;
    let packets: Vec<&Signature> = signatures
        .iter()
        .map(|signature| &signature.signature)
        .collect();
    verify_any(file, &packets, content, keyring, now)
}

fn malformed(file: &str, error: &pgp::errors::Error) -> SignatureError {
    SignatureError::Malformed {
        file: file.to_owned(),
        reason: error.to_string(),
    }
}

/// Accepts when one signature is good and none is wrong, as apt does; signatures by unknown keys do not matter then.
fn verify_any(
    file: &str,
    signatures: &[&Signature],
    content: &[u8],
    keyring: &Keyring,
    now: SystemTime,
) -> Result<(), SignatureError> {
    if signatures.is_empty() {
        return Err(SignatureError::Missing {
            file: file.to_owned(),
        });
    }
    let mut unknown = BTreeSet::new();
    let mut refused: Option<SignatureError> = None;
    let mut is_good = false;
    for signature in signatures {
        match verify_one(file, signature, content, keyring, now) {
            Some(Ok(())) => is_good = true,
            Some(Err(error @ SignatureError::Wrong { .. })) => return Err(error),
            Some(Err(error)) => refused = refused.or(Some(error)),
            None => {
                unknown.insert(issuer(signature));
            }
        }
    }
    match (is_good, refused) {
        (true, _) => Ok(()),
        (false, Some(error)) => Err(error),
        (false, None) => Err(SignatureError::UnknownKey {
            file: file.to_owned(),
            keys: unknown.into_iter().collect(),
            keyrings: keyring.sources(),
        }),
    }
}

/// Checks one signature; `None` when no key of the keyring made it.
fn verify_one(
    file: &str,
    signature: &Signature,
    content: &[u8],
    keyring: &Keyring,
    now: SystemTime,
) -> Option<Result<(), SignatureError>> {
    let mut answer = None;
    for trusted in &keyring.keys {
        let outcome = Signer::find(trusted, signature)
            .map(|signer| signer.check(file, signature, content, now));
        match outcome {
            Some(Ok(())) => return outcome,
            // The same key may be in several files, in one of them not expired.
            Some(Err(_)) if answer.is_none() => answer = outcome,
            _ => {}
        }
    }
    answer
}

fn issuer(signature: &Signature) -> String {
    let fingerprint = signature
        .issuer_fingerprint()
        .first()
        .map(ToString::to_string);
    let key_id = || signature.issuer_key_id().first().map(ToString::to_string);
    fingerprint
        .or_else(key_id)
        .map_or_else(|| "an unnamed key".to_owned(), |id| id.to_ascii_uppercase())
}

fn is_issuer(signature: &Signature, key: &impl KeyDetails) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    if fingerprints.is_empty() {
        return signature
            .issuer_key_id()
            .iter()
            .any(|&id| *id == key.legacy_key_id());
    }
    fingerprints
        .iter()
        .any(|&fingerprint| *fingerprint == key.fingerprint())
}

/// The key, or the subkey, of a certificate that made a signature.
struct Signer<'a> {
    trusted: &'a TrustedKey,
    subkey: Option<usize>,
}

impl<'a> Signer<'a> {
    fn find(trusted: &'a TrustedKey, signature: &Signature) -> Option<Self> {
        if is_issuer(signature, &trusted.certificate.primary_key) {
            return Some(Self {
                trusted,
                subkey: None,
            });
        }
        let subkeys = &trusted.certificate.public_subkeys;
        let at = subkeys
            .iter()
            .position(|subkey| is_issuer(signature, &subkey.key))?;
        Some(Self {
            trusted,
            subkey: Some(at),
        })
    }

    fn id(&self) -> String {
        let certificate = &self.trusted.certificate;
        let fingerprint = match self.subkey {
            None => certificate.primary_key.fingerprint(),
            Some(at) => certificate.public_subkeys[at].key.fingerprint(),
        };
        fingerprint.to_string().to_ascii_uppercase()
    }

    fn check(
        &self,
        file: &str,
        signature: &Signature,
        content: &[u8],
        now: SystemTime,
    ) -> Result<(), SignatureError> {
        let certificate = &self.trusted.certificate;
        let matches = match self.subkey {
            None => verifies(signature, &certificate.primary_key, content),
            Some(at) => verifies(signature, &certificate.public_subkeys[at].key, content),
        };
        if !matches {
            return Err(SignatureError::Wrong {
                file: file.to_owned(),
                key: self.id(),
                keyring: self.trusted.source.clone(),
            });
        }
        self.check_strength(file, signature)?;
        self.check_revocation(file)?;
        self.check_right_to_sign(file)?;
        self.check_times(file, signature, now)
    }

    fn check_strength(&self, file: &str, signature: &Signature) -> Result<(), SignatureError> {
        match signature.hash_alg() {
            Some(HashAlgorithm::Md5 | HashAlgorithm::Sha1 | HashAlgorithm::Ripemd160) | None => {
                Err(self.unacceptable(file, "its hash algorithm is broken (MD5, SHA-1 or RIPE-MD)"))
            }
            Some(_)
                if !matches!(
                    signature.typ(),
                    Some(SignatureType::Binary | SignatureType::Text)
                ) =>
            {
                Err(self.unacceptable(file, "it is not a signature of a document"))
            }
            Some(_) => Ok(()),
        }
    }

    fn check_revocation(&self, file: &str) -> Result<(), SignatureError> {
        let certificate = &self.trusted.certificate;
        let primary = &certificate.primary_key;
        let is_primary_revoked = certificate
            .details
            .revocation_signatures
            .iter()
            .any(|revocation| revocation.verify_key(primary).is_ok());
        let is_subkey_revoked = self.subkey.is_some_and(|at| {
            let subkey = &certificate.public_subkeys[at];
            subkey.signatures.iter().any(|signature| {
                signature.typ() == Some(SignatureType::SubkeyRevocation)
                    && signature
                        .verify_subkey_binding(primary, &subkey.key)
                        .is_ok()
            })
        });
        if is_primary_revoked || is_subkey_revoked {
            return Err(SignatureError::Revoked {
                file: file.to_owned(),
                key: self.id(),
                keyring: self.trusted.source.clone(),
            });
        }
        Ok(())
    }

    /// A subkey must be bound to its key, and have agreed to that, and either must be meant for signing.
    fn check_right_to_sign(&self, file: &str) -> Result<(), SignatureError> {
        let primary = &self.trusted.certificate.primary_key;
        let Some(binding) = self.newest_binding() else {
            return Err(self.unacceptable(
                file,
                "the key is not bound to an identity by a valid self-signature",
            ));
        };
        if binding.key_flags() != pgp::packet::KeyFlags::default() && !binding.key_flags().sign() {
            return Err(self.unacceptable(file, "the key is not meant for signing"));
        }
        if let Some(at) = self.subkey {
            let subkey = &self.trusted.certificate.public_subkeys[at].key;
            let agrees = binding
                .embedded_signature()
                .is_some_and(|back| back.verify_primary_key_binding(subkey, primary).is_ok());
            if !agrees {
                return Err(
                    self.unacceptable(file, "the subkey has not signed its binding to the key")
                );
            }
        }
        Ok(())
    }

    /// The newest valid self-signature over the key that signed.
    fn newest_binding(&self) -> Option<&Signature> {
        match self.subkey {
            None => self.newest_self_signature(),
            Some(at) => {
                let subkey = &self.trusted.certificate.public_subkeys[at];
                let primary = &self.trusted.certificate.primary_key;
                newest(subkey.signatures.iter().filter(|signature| {
                    signature.typ() == Some(SignatureType::SubkeyBinding)
                        && signature
                            .verify_subkey_binding(primary, &subkey.key)
                            .is_ok()
                }))
            }
        }
    }

    fn newest_self_signature(&self) -> Option<&Signature> {
        let certificate = &self.trusted.certificate;
        let primary = &certificate.primary_key;
        let on_users = certificate.details.users.iter().flat_map(|user| {
            user.signatures.iter().filter(|signature| {
                signature.typ() != Some(SignatureType::CertRevocation)
                    && signature
                        .verify_certification(primary, Tag::UserId, &user.id)
                        .is_ok()
            })
        });
        let direct = certificate
            .details
            .direct_signatures
            .iter()
            .filter(|signature| signature.verify_key(primary).is_ok());
        newest(on_users.chain(direct))
    }

    fn check_times(
        &self,
        file: &str,
        signature: &Signature,
        now: SystemTime,
    ) -> Result<(), SignatureError> {
        let made = signature.created().map_or(UNIX_EPOCH, SystemTime::from);
        if made > now + CLOCK_DIFFERENCE {
            return Err(SignatureError::FromTheFuture {
                file: file.to_owned(),
                key: self.id(),
                when: date(made),
            });
        }
        if let Some(end) = end(made, signature.signature_expiration_time())
            && end < now
        {
            return Err(self.expired(file, "signature", end));
        }
        // A release file is fetched to be trusted now: the key must be good now, not only when it signed.
        let primary = &self.trusted.certificate.primary_key;
        let primary_end = self
            .newest_self_signature()
            .and_then(|own| end(primary.created_at().into(), own.key_expiration_time()));
        let subkey_end = self.subkey.and_then(|at| {
            let created = self.trusted.certificate.public_subkeys[at].key.created_at();
            end(
                created.into(),
                self.newest_binding()
                    .and_then(Signature::key_expiration_time),
            )
        });
        match [primary_end, subkey_end].into_iter().flatten().min() {
            Some(end) if end < now => Err(self.expired(file, "signing key", end)),
            _ => Ok(()),
        }
    }

    fn expired(&self, file: &str, what: &'static str, when: SystemTime) -> SignatureError {
        SignatureError::Expired {
            file: file.to_owned(),
            what,
            key: self.id(),
            keyring: self.trusted.source.clone(),
            when: date(when),
        }
    }

    fn unacceptable(&self, file: &str, reason: &str) -> SignatureError {
        SignatureError::Unacceptable {
            file: file.to_owned(),
            key: self.id(),
            reason: reason.to_owned(),
        }
    }
}

fn verifies(signature: &Signature, key: &impl VerifyingKey, content: &[u8]) -> bool {
    match signature.verify(key, content) {
        Ok(()) => true,
        Err(error) => {
            tracing::debug!(%error, "a signature does not match");
            false
        }
    }
}

fn newest<'a>(signatures: impl Iterator<Item = &'a Signature>) -> Option<&'a Signature> {
    signatures.max_by_key(|signature| signature.created().map(pgp::types::Timestamp::as_secs))
}

/// When something that began at `start` ends; a lifetime of zero means never.
fn end(start: SystemTime, lifetime: Option<pgp::types::Duration>) -> Option<SystemTime> {
    let seconds = lifetime?.as_secs();
    (seconds > 0).then(|| start + Duration::from_secs(seconds.into()))
}

fn date(time: SystemTime) -> String {
    super::date::format(time)
}
