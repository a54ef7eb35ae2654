//! Loads repositories that the test makes and signs itself, whole and broken in every way that matters.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of this test are test code, too"
)]

use std::{
    collections::HashMap,
    io::Write as _,
    path::Path,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use anyhow::{Result, bail};
use osbuild_packages::deb::{
    download::Download,
    repository::{LoadOptions, PackageIndex, Repository, RepositoryState, load},
    signature::SignatureError,
};
use osbuild_testing::deb_repository::{generate_key, release, sha256, sign_inline};
use pgp::{
    composed::{
        ArmorOptions, CleartextSignedMessage, DetachedSignature, SignedPublicKey, SignedSecretKey,
    },
    crypto::hash::HashAlgorithm,
    packet::{KeyFlags, PacketParser, SignatureConfig, SignatureType, Subpacket, SubpacketData},
    ser::Serialize as _,
    types::{KeyDetails as _, Password, Tag, Timestamp},
};

const PACKAGES: &str =
    "Package: hello\nVersion: 1\nArchitecture: amd64\nFilename: pool/h.deb\nSize: 3\nSHA256: 00\n";
const BASE: &str = "http://mirror.invalid/debian";
const DAY: Duration = Duration::from_hours(24);

/// Files by address; remembers what was asked for.
#[derive(Default)]
struct Mirror {
    files: HashMap<String, Vec<u8>>,
    asked: Mutex<Vec<String>>,
}

impl Mirror {
    fn put(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        self.files
            .insert(format!("{BASE}/dists/stable/{path}"), content.into());
    }

    fn remove(&mut self, path: &str) {
        self.files
            .remove(&format!("{BASE}/dists/stable/{path}"))
            .unwrap();
    }

    fn asked(&self) -> Vec<String> {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        let prefix = format!("{BASE}/dists/stable/");
        asked
            .into_iter()
            .map(|url| url.replace(&prefix, ""))
            .collect()
    }
}

impl Download for Mirror {
    fn download(&self, url: &str, _limit: u64) -> Result<Option<Vec<u8>>> {
        if !url.starts_with(BASE) {
            bail!("the test has no {url}");
        }
        self.asked.lock().unwrap().push(url.to_owned());
        Ok(self.files.get(url).cloned())
    }
}

struct Setup {
    mirror: Mirror,
    key: SignedSecretKey,
    directory: tempfile::TempDir,
    repository: Repository,
    now: SystemTime,
}

impl Setup {
    /// A repository with an xz index, by hash, signed by a key in a binary keyring file.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = generate_key();
        let keyring = directory.path().join("key.gpg");
        fs_err::write(
            &keyring,
            SignedPublicKey::from(key.clone()).to_bytes().unwrap(),
        )
        .unwrap();
        let mut repository = Repository::new(BASE, "stable", &["main"]);
        repository.keyring.push(keyring);
        let mut setup = Self {
            mirror: Mirror::default(),
            key,
            directory,
            repository,
            now: SystemTime::now(),
        };
        setup.publish(".xz", xz(PACKAGES), "");
        setup
    }

    fn publish(&mut self, extension: &str, content: Vec<u8>, more: &str) {
        let release = release(extension, &content, more);
        let hash = sha256(&content);
        self.mirror.put(
            &format!("main/binary-amd64/by-hash/SHA256/{hash}"),
            content.clone(),
        );
        self.mirror
            .put(&format!("main/binary-amd64/Packages{extension}"), content);
        self.mirror
            .put("InRelease", sign_inline(&self.key, &release));
    }

    fn load(&self) -> Result<Vec<PackageIndex>> {
        Ok(self.load_with_state()?.0)
    }

    fn load_with_state(&self) -> Result<(Vec<PackageIndex>, RepositoryState)> {
        let cache = self.directory.path().join("cache");
        let options = LoadOptions {
            download: &self.mirror,
            cache: &cache,
            keyring_root: Path::new("/nonexistent"),
            now: self.now,
        };
        let mut loaded = load(std::slice::from_ref(&self.repository), "amd64", &options)?;
        Ok((loaded.indices, loaded.states.remove(0).unwrap()))
    }

    fn signature_error(&self) -> SignatureError {
        let error = self.load().unwrap_err();
        error
            .downcast_ref::<SignatureError>()
            .unwrap_or_else(|| panic!("{error:#}"))
            .clone()
    }

    fn error(&self) -> String {
        self.load().unwrap_err().root_cause().to_string()
    }
}

fn xz(text: &str) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn loads_by_hash_and_then_from_the_cache() {
    let setup = Setup::new();
    let [index] = &setup.load().unwrap()[..] else {
        panic!("one index")
    };
    assert_eq!(index.text, PACKAGES);
    assert_eq!(
        (index.origin.suite.as_str(), index.origin.codename.as_str()),
        ("stable", "trixie")
    );
    assert_eq!(
        (index.origin.component.as_str(), index.origin.pin_priority),
        ("main", 500)
    );
    let by_hash = format!("main/binary-amd64/by-hash/SHA256/{}", sha256(&xz(PACKAGES)));
    assert_eq!(setup.mirror.asked(), ["InRelease".to_owned(), by_hash]);
    assert_eq!(setup.load().unwrap()[0].text, PACKAGES);
    assert_eq!(setup.mirror.asked(), ["InRelease"]);
}

#[test]
fn a_damaged_cache_is_fetched_again() {
    let setup = Setup::new();
    setup.load().unwrap();
    let cached = setup
        .directory
        .path()
        .join("cache")
        .join(sha256(&xz(PACKAGES)));
    fs_err::write(&cached, "damaged").unwrap();
    assert_eq!(setup.load().unwrap()[0].text, PACKAGES);
    assert_eq!(fs_err::read(&cached).unwrap(), xz(PACKAGES));
}

#[test]
fn every_compression_is_read() {
    let zstd = zstd::encode_all(PACKAGES.as_bytes(), 1).unwrap();
    for (extension, content) in [
        (".gz", gzip(PACKAGES)),
        (".zst", zstd),
        ("", PACKAGES.into()),
    ] {
        let mut setup = Setup::new();
        setup.publish(extension, content, "");
        assert_eq!(setup.load().unwrap()[0].text, PACKAGES, "{extension}");
    }
}

#[test]
fn a_mirror_without_hashes_serves_plain_names() {
    let mut setup = Setup::new();
    setup.mirror.remove(&format!(
        "main/binary-amd64/by-hash/SHA256/{}",
        sha256(&xz(PACKAGES))
    ));
    assert_eq!(setup.load().unwrap()[0].text, PACKAGES);
}

#[test]
fn an_index_that_is_not_the_listed_one_is_refused() {
    let mut setup = Setup::new();
    let listed = sha256(&xz(PACKAGES));
    setup.mirror.put(
        &format!("main/binary-amd64/by-hash/SHA256/{listed}"),
        "other",
    );
    setup.mirror.put("main/binary-amd64/Packages.xz", "other");
    let error = setup.error();
    assert!(error.starts_with(&format!("{BASE}/dists/stable/main/binary-amd64/Packages.xz is not the file the signed release lists")), "{error}");
    assert!(error.contains(&listed), "{error}");
    assert!(
        !setup.directory.path().join("cache").exists(),
        "nothing unverified is kept"
    );
}

#[test]
fn a_keyring_with_the_notes_of_gnupg_is_read() {
    let mut setup = Setup::new();
    let bytes = fs_err::read(&setup.repository.keyring[0]).unwrap();
    let mut with_notes = Vec::new();
    for packet in PacketParser::new(bytes.as_slice()) {
        packet.unwrap().to_writer(&mut with_notes).unwrap();
        // A trust packet of the old format, as GnuPG puts one behind each packet of `pubring.gpg`.
        with_notes.extend_from_slice(&[0xb0, 2, 0, 3]);
    }
    let file = setup.directory.path().join("notes.gpg");
    fs_err::write(&file, with_notes).unwrap();
    setup.repository.keyring = vec![file.clone()];
    setup.load().unwrap();
    // A file that breaks off, or is none, is told.
    fs_err::write(&file, [0xb0, 200, 0]).unwrap();
    let error = format!("{:#}", setup.load().unwrap_err());
    assert!(error.contains("has no OpenPGP key"), "{error}");
    fs_err::write(&file, "no armor").unwrap();
    let error = format!("{:#}", setup.load().unwrap_err());
    assert!(error.contains("notes.gpg"), "{error}");
}

#[test]
fn an_armored_keyring_and_a_written_key_are_read() {
    let mut setup = Setup::new();
    let armored = SignedPublicKey::from(setup.key.clone())
        .to_armored_string(ArmorOptions::default())
        .unwrap();
    let file = setup.directory.path().join("key.asc");
    fs_err::write(&file, &armored).unwrap();
    setup.repository.keyring = vec![file];
    setup.load().unwrap();
    setup.repository.keyring.clear();
    setup.repository.keys = vec![armored];
    setup.load().unwrap();
    setup.repository.fingerprints = vec![setup.key.fingerprint().to_string().to_uppercase()];
    setup.load().unwrap();
    setup.repository.fingerprints = vec!["0".repeat(40)];
    assert!(matches!(
        setup.signature_error(),
        SignatureError::UnknownKey { .. }
    ));
}

#[test]
fn a_signature_beside_the_file_is_accepted() {
    let mut setup = Setup::new();
    setup.mirror.remove("InRelease");
    let text = release(".xz", &xz(PACKAGES), "");
    setup.mirror.put("Release", text.clone());
    let file = format!("{BASE}/dists/stable/Release");
    assert_eq!(
        setup.signature_error(),
        SignatureError::Missing { file: file.clone() }
    );
    let signature = DetachedSignature::sign_binary_data(
        rand::thread_rng(),
        &setup.key.primary_key,
        &Password::empty(),
        HashAlgorithm::Sha512,
        text.as_bytes(),
    )
    .unwrap();
    setup.mirror.put(
        "Release.gpg",
        signature
            .to_armored_string(ArmorOptions::default())
            .unwrap(),
    );
    assert_eq!(setup.load().unwrap()[0].text, PACKAGES);
    setup
        .mirror
        .put("Release", text.replace("Origin: Test", "Origin: Evil"));
    assert!(matches!(
        setup.signature_error(),
        SignatureError::Wrong { .. }
    ));
    setup.mirror.put("Release.gpg", "no signature");
    assert!(matches!(
        setup.signature_error(),
        SignatureError::Malformed { .. }
    ));
}

#[test]
fn an_unsigned_release_is_refused() {
    let mut setup = Setup::new();
    setup
        .mirror
        .put("InRelease", release(".xz", &xz(PACKAGES), ""));
    let file = format!("{BASE}/dists/stable/InRelease");
    assert_eq!(setup.signature_error(), SignatureError::Missing { file });
}

#[test]
fn text_around_the_signed_text_is_refused() {
    let mut setup = Setup::new();
    let signed = sign_inline(&setup.key, &release(".xz", &xz(PACKAGES), ""));
    setup
        .mirror
        .put("InRelease", format!("Origin: Evil\n{signed}"));
    assert!(matches!(
        setup.signature_error(),
        SignatureError::Missing { .. }
    ));
    setup
        .mirror
        .put("InRelease", format!("{signed}\nOrigin: Evil\n"));
    assert!(matches!(
        setup.signature_error(),
        SignatureError::Malformed { .. }
    ));
}

#[test]
fn a_changed_release_is_refused() {
    let mut setup = Setup::new();
    let signed = sign_inline(&setup.key, &release(".xz", &xz(PACKAGES), ""));
    setup
        .mirror
        .put("InRelease", signed.replace("Origin: Test", "Origin: Evil"));
    let key = setup.key.fingerprint().to_string().to_uppercase();
    let keyring = setup.repository.keyring[0].display().to_string();
    let file = format!("{BASE}/dists/stable/InRelease");
    assert_eq!(
        setup.signature_error(),
        SignatureError::Wrong { file, key, keyring }
    );
}

#[test]
fn a_release_signed_by_another_key_names_the_key_and_the_keyring() {
    let mut setup = Setup::new();
    let other = generate_key();
    setup.mirror.put(
        "InRelease",
        sign_inline(&other, &release(".xz", &xz(PACKAGES), "")),
    );
    let error = SignatureError::UnknownKey {
        file: format!("{BASE}/dists/stable/InRelease"),
        keys: vec![other.fingerprint().to_string().to_uppercase()],
        keyrings: setup.repository.keyring[0].display().to_string(),
    };
    assert_eq!(setup.signature_error(), error);
    assert!(
        error
            .to_string()
            .contains("name the keyring of this repository"),
        "{error}"
    );
}

#[test]
fn an_expired_signature_is_refused() {
    let mut setup = Setup::new();
    let mut config = SignatureConfig::from_key(
        rand::thread_rng(),
        &setup.key.primary_key,
        SignatureType::Text,
    )
    .unwrap();
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::now())).unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(setup.key.fingerprint())).unwrap(),
        Subpacket::regular(SubpacketData::SignatureExpirationTime(
            pgp::types::Duration::from_secs(60),
        ))
        .unwrap(),
    ];
    let text = release(".xz", &xz(PACKAGES), "");
    let signed =
        CleartextSignedMessage::new(&text, config, &setup.key.primary_key, &Password::empty())
            .unwrap();
    setup.mirror.put(
        "InRelease",
        signed.to_armored_string(ArmorOptions::default()).unwrap(),
    );
    setup.load().unwrap();
    setup.now += DAY;
    assert!(matches!(
        setup.signature_error(),
        SignatureError::Expired {
            what: "signature",
            ..
        }
    ));
}

#[test]
fn an_expired_key_is_refused() {
    let mut setup = Setup::new();
    let mut certificate = SignedPublicKey::from(setup.key.clone());
    let user = &mut certificate.details.users[0];
    let mut flags = KeyFlags::default();
    flags.set_sign(true);
    let mut config = SignatureConfig::from_key(
        rand::thread_rng(),
        &setup.key.primary_key,
        SignatureType::CertPositive,
    )
    .unwrap();
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::now())).unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(setup.key.fingerprint())).unwrap(),
        Subpacket::regular(SubpacketData::KeyFlags(flags)).unwrap(),
        Subpacket::regular(SubpacketData::KeyExpirationTime(
            pgp::types::Duration::from_secs(60),
        ))
        .unwrap(),
    ];
    let public = setup.key.primary_key.public_key().clone();
    let own = config
        .sign_certification(
            &setup.key.primary_key,
            &public,
            &Password::empty(),
            Tag::UserId,
            &user.id,
        )
        .unwrap();
    user.signatures = vec![own];
    fs_err::write(
        &setup.repository.keyring[0],
        certificate.to_bytes().unwrap(),
    )
    .unwrap();
    setup.load().unwrap();
    setup.now += DAY;
    assert!(matches!(
        setup.signature_error(),
        SignatureError::Expired {
            what: "signing key",
            ..
        }
    ));
}

#[test]
fn a_signature_from_the_future_is_refused() {
    let mut setup = Setup::new();
    setup.now -= DAY;
    assert!(matches!(
        setup.signature_error(),
        SignatureError::FromTheFuture { .. }
    ));
}

#[test]
fn a_release_past_its_end_is_refused_unless_told() {
    let mut setup = Setup::new();
    setup.publish(
        ".xz",
        xz(PACKAGES),
        "Valid-Until: Fri, 02 Jan 2026 00:00:00 UTC\n",
    );
    let error = setup.error();
    assert!(
        error.contains("was valid until 2 Jan 2026 00:00:00 UTC only"),
        "{error}"
    );
    setup.repository.check_valid_until = false;
    setup.load().unwrap();
}

#[test]
fn a_mirror_cannot_go_back_to_an_older_state() {
    const NEWER: &str = "Package: hello\nVersion: 2\nArchitecture: amd64\nFilename: pool/h.deb\nSize: 3\nSHA256: 00\n";
    let mut setup = Setup::new();
    let old = setup.load().unwrap();
    let text = release(".xz", &xz(NEWER), "").replace("Thu, 01 Jan 2026", "Fri, 02 Jan 2026");
    setup.publish(".xz", xz(NEWER), "");
    setup
        .mirror
        .put("InRelease", sign_inline(&setup.key, &text));
    let (newest, state) = setup.load_with_state().unwrap();
    assert_eq!(newest[0].text, NEWER);
    assert_eq!(state.date.as_deref(), Some("Fri, 02 Jan 2026 00:00:00 UTC"));
    // The old state is still signed well and not past its end.
    setup.publish(".xz", xz(PACKAGES), "");
    assert_eq!(setup.load_with_state().unwrap(), (newest, state));
    // A snapshot of the past is asked for by name.
    setup.repository.check_valid_until = false;
    assert_eq!(setup.load().unwrap(), old);
}

#[test]
fn a_remembered_state_that_nobody_vouches_for_any_more_is_forgotten() {
    let mut setup = Setup::new();
    let text = release(".xz", &xz(PACKAGES), "").replace("Thu, 01 Jan 2026", "Fri, 02 Jan 2026");
    setup
        .mirror
        .put("InRelease", sign_inline(&setup.key, &text));
    setup.load().unwrap();
    let other = generate_key();
    fs_err::write(
        &setup.repository.keyring[0],
        SignedPublicKey::from(other.clone()).to_bytes().unwrap(),
    )
    .unwrap();
    setup.key = other;
    setup.publish(".xz", xz(PACKAGES), "");
    let (_, state) = setup.load_with_state().unwrap();
    assert_eq!(state.date.as_deref(), Some("Thu, 01 Jan 2026 00:00:00 UTC"));
}

#[test]
fn a_release_of_another_suite_is_refused_and_forgotten() {
    let mut setup = Setup::new();
    let url = format!("{BASE}/dists/stable/InRelease");
    let other = release(".xz", &xz(PACKAGES), "")
        .replace("Suite: stable", "Suite: testing")
        .replace("Codename: trixie", "Codename: forky")
        .replace("Thu, 01 Jan 2026", "Fri, 02 Jan 2026");
    let signed = sign_inline(&setup.key, &other);
    setup.mirror.put("InRelease", signed.clone());
    let error = setup.error();
    assert!(
        error.starts_with(&format!(
            "{url} is the release file of `testing` (`forky`), not of `stable`"
        )),
        "{error}"
    );
    // Nor is it taken for a newer state of this one, should it have got among what is remembered.
    setup.publish(".xz", xz(PACKAGES), "");
    setup.load().unwrap();
    let remembered = setup.directory.path().join("cache/releases");
    let remembered = fs_err::read_dir(remembered)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    fs_err::write(remembered.path(), signed).unwrap();
    let (_, state) = setup.load_with_state().unwrap();
    assert_eq!(state.date.as_deref(), Some("Thu, 01 Jan 2026 00:00:00 UTC"));
    // Both of its names are good, and so is a directory of it.
    let good = setup.mirror.files[&url].clone();
    for suite in ["trixie", "trixie/updates"] {
        setup.repository.suite = suite.to_owned();
        let url = format!("{BASE}/dists/{suite}/InRelease");
        setup.mirror.files.insert(url, good.clone());
        setup.load().unwrap();
    }
}

#[test]
fn a_release_that_offers_something_else_says_what() {
    let mut setup = Setup::new();
    setup.repository.components = vec!["contrib".into()];
    let url = format!("{BASE}/dists/stable/InRelease");
    assert_eq!(
        setup.error(),
        format!("{url} has no component `contrib`; it offers main")
    );
    setup.repository.components = vec!["main".into()];
    setup.publish(".xz", xz(PACKAGES), "");
    let text = release(".xz", &xz(PACKAGES), "")
        .replace("Architectures: amd64", "Architectures: arm64 all");
    setup
        .mirror
        .put("InRelease", sign_inline(&setup.key, &text));
    assert_eq!(
        setup.error(),
        format!("{url} offers arm64, all, but not amd64")
    );
}

#[test]
fn a_missing_suite_says_what_to_check() {
    let mut setup = Setup::new();
    setup.repository.suite = "unstabel".into();
    let expected = format!(
        "there is neither {BASE}/dists/unstabel/InRelease nor a `Release` beside it; check the address and the suite"
    );
    assert_eq!(setup.error(), expected);
}

#[test]
fn without_a_keyring_nothing_is_trusted() {
    let mut setup = Setup::new();
    setup.repository.keyring.clear();
    let SignatureError::UnknownKey { keyrings, .. } = setup.signature_error() else {
        panic!("an unknown key")
    };
    assert_eq!(keyrings, "(no keyring)");
    setup.repository.keyring = vec!["/nonexistent/key.gpg".into()];
    let error = setup.load().unwrap_err();
    assert!(
        format!("{error:#}").contains("reading the keyring /nonexistent/key.gpg"),
        "{error:#}"
    );
}
