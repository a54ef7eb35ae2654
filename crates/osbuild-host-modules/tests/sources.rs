//! The curl and inline sources, as the engine calls them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Mutex;

use osbuild_fetch::{Algorithm, Hasher, Proxy};
use osbuild_host_modules::{
    ItemHint, ItemHints, SourceEvent, SourceOutcome, SourceRequest, SourceResult, source,
};
use osbuild_sandbox::CancelToken;
use osbuild_testing::server::{Answer, Server};
use serde_json::{Map, Value, json};

fn checksum(algorithm: Algorithm, bytes: &[u8]) -> String {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish().to_string()
}

fn sha256(bytes: &[u8]) -> String {
    checksum(Algorithm::Sha256, bytes)
}

/// Downloads into a cache; gives the outcome and what was logged.
fn download(name: &str, items: &Map<String, Value>, cache: &Path) -> (SourceOutcome, Vec<String>) {
    let lines = Mutex::new(Vec::new());
    let outcome = source(name).unwrap().download(
        &SourceRequest {
            items,
            options: &Value::Null,
            hints: &ItemHints::default(),
            cache,
            cancel: &CancelToken::new().unwrap(),
        },
        &|event| {
            if let SourceEvent::Log(line) | SourceEvent::Warning(line) = event {
                lines.lock().unwrap().push(line);
            }
        },
    );
    (outcome, lines.into_inner().unwrap())
}

fn items(value: Value) -> Map<String, Value> {
    let Value::Object(items) = value else {
        panic!("items are an object");
    };
    items
}

fn result(checksum: &str, cached: Option<bool>, error: Option<&str>) -> SourceResult {
    SourceResult {
        checksum: Some(checksum.to_owned()),
        cached,
        error: error.map(ToOwned::to_owned),
    }
}

#[test]
fn curl_brings_both_forms_of_items_and_says_what_was_there() {
    let server = Server::start().unwrap();
    server.answer("/a%20b", [Answer::File(b"one".to_vec())]);
    server.answer("/two", [Answer::File(b"two".to_vec())]);
    let cache = tempfile::tempdir().unwrap();
    let items = items(json!({
        sha256(b"one"): server.url("/a b"),
        checksum(Algorithm::Md5, b"two"): {"url": server.url("/two"), "insecure": true},
    }));
    let (outcome, mut lines) = download("org.osbuild.curl", &items, cache.path());
    let two = checksum(Algorithm::Md5, b"two");
    assert_eq!(
        outcome,
        SourceOutcome {
            source_type: "org.osbuild.curl",
            success: true,
            results: vec![
                result(&sha256(b"one"), Some(false), None),
                result(&two, Some(false), None),
            ],
        }
    );
    lines.sort();
    assert_eq!(
        lines,
        [
            format!("Downloaded {}", server.url("/a%20b")),
            format!("Downloaded {}", server.url("/two")),
        ]
    );
    let stored = cache.path().join("org.osbuild.files").join(&two);
    assert_eq!(fs_err::read(stored).unwrap(), b"two");

    let (outcome, lines) = download("org.osbuild.curl", &items, cache.path());
    assert_eq!(lines, Vec::<String>::new());
    assert_eq!(
        outcome.results,
        [
            result(&sha256(b"one"), Some(true), None),
            result(&two, Some(true), None),
        ]
    );
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn curl_fails_in_upstreams_words() {
    let server = Server::start().unwrap();
    server.answer("/bad", [Answer::File(b"something else".to_vec())]);
    server.answer("/good", [Answer::File(b"good".to_vec())]);
    let cache = tempfile::tempdir().unwrap();
    let (bad, good, gone) = (sha256(b"bad"), sha256(b"good"), sha256(b"gone"));
    let items = items(json!({
        &bad: server.url("/bad"),
        &good: server.url("/good"),
        &gone: {"url": server.url("/gone")},
    }));
    let (outcome, _) = download("org.osbuild.curl", &items, cache.path());
    assert!(!outcome.success);
    assert_eq!(
        outcome.results,
        [
            result(
                &bad,
                None,
                Some(&format!(
                    "failed to move to target directory: checksum mismatch: {bad} {} \
                     (the file there has {}; has it been replaced?)",
                    server.url("/bad"),
                    sha256(b"something else"),
                ))
            ),
            result(&good, Some(false), None),
            result(
                &gone,
                None,
                Some(&format!(
                    "curl: error downloading {0}: exit code 22 (`{0}`: the server answers 404 Not Found)",
                    server.url("/gone")
                ))
            ),
            SourceResult {
                error: Some(format!(
                    "curl: finished with return_code 22 but [('{bad}', {{'url': '{}'}}), \
                     ('{gone}', {{'url': '{}'}})] left to download",
                    server.url("/bad"),
                    server.url("/gone")
                )),
                ..SourceResult::default()
            },
        ]
    );
}

#[test]
fn curl_says_which_secrets_it_lacks() {
    let server = Server::start().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let error = |name: &str| {
        let item = json!({"url": server.url("/x"), "secrets": {"name": name}});
        let items = items(json!({ sha256(b"x"): item }));
        let (outcome, _) = download("org.osbuild.curl", &items, cache.path());
        outcome.results[0].error.clone().unwrap()
    };
    assert_eq!(
        error("org.osbuild.mtls"),
        "mtls secrets required but key (None) or cert (None) not defined; set \
         OSBUILD_SOURCES_CURL_SSL_CLIENT_KEY and OSBUILD_SOURCES_CURL_SSL_CLIENT_CERT"
    );
    assert_eq!(server.requests(), []);
}

#[test]
fn a_cancelled_download_fails() {
    let server = Server::start().unwrap();
    server.answer("/x", [Answer::Silence]);
    let cache = tempfile::tempdir().unwrap();
    let items = items(json!({ sha256(b"x"): server.url("/x") }));
    let cancel = CancelToken::new().unwrap();
    cancel.cancel();
    let outcome = source("org.osbuild.curl").unwrap().download(
        &SourceRequest {
            items: &items,
            options: &Value::Null,
            hints: &ItemHints::default(),
            cache: cache.path(),
            cancel: &cancel,
        },
        &|_| {},
    );
    let error = outcome.results[0].error.as_ref().unwrap();
    assert!(error.ends_with("was cancelled)"), "{error}");
}

#[test]
fn what_the_caller_knows_of_an_item_is_used() {
    let server = Server::start().unwrap();
    // What a proxy is asked for is the whole address.
    server.answer("http://mirror.invalid/x", [Answer::File(b"xx".to_vec())]);
    let items = items(json!({ sha256(b"xx"): "http://mirror.invalid/x" }));
    let fetch = |size: u64| {
        let cache = tempfile::tempdir().unwrap();
        let hint = ItemHint {
            size: Some(size),
            proxy: Some(Proxy::Url(server.url(""))),
        };
        source("org.osbuild.curl").unwrap().download(
            &SourceRequest {
                items: &items,
                options: &Value::Null,
                hints: &ItemHints::from([(sha256(b"xx"), hint)]),
                cache: cache.path(),
                cancel: &CancelToken::new().unwrap(),
            },
            &|_| {},
        )
    };
    assert!(fetch(2).success);
    let error = fetch(1).results[0].error.clone().unwrap();
    assert!(
        error.contains("it is 2 bytes long or longer, not 1"),
        "{error}"
    );
}

#[test]
fn inline_unpacks_what_is_not_there() {
    let cache = tempfile::tempdir().unwrap();
    // Python's `lzma.compress(b"hello")`, in both of its formats.
    let items = items(json!({
        sha256(b"hello"): {"encoding": "base64", "data": "aGVs\nbG8="},
        checksum(Algorithm::Md5, b"hello"): {"encoding": "lzma+base64", "data": XZ},
        checksum(Algorithm::Sha512, b"hello"): {"encoding": "lzma+base64", "data": LZMA},
    }));
    for cached in [false, true] {
        let (outcome, _) = download("org.osbuild.inline", &items, cache.path());
        let expected: Vec<_> = items
            .keys()
            .map(|checksum| result(checksum, Some(cached), None))
            .collect();
        assert_eq!(outcome.results, expected);
        assert!(outcome.success);
    }
    for name in items.keys() {
        let path = cache.path().join("org.osbuild.files").join(name);
        assert_eq!(fs_err::read(path).unwrap(), b"hello");
    }
}

const XZ: &str =
    "/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQAEaGVsbG8AAAAAsTe52+XaHpsAAR0FuC2Arx+2830BAAAAAARZWg==";
const LZMA: &str = "XQAAgAD//////////wA0GUnujmgh////ueAAAA==";

#[test]
fn inline_refuses_bad_data_and_goes_on() {
    let cache = tempfile::tempdir().unwrap();
    let (wrong, broken, good) = (sha256(b"wrong"), sha256(b"broken"), sha256(b"hello"));
    let items = items(json!({
        &wrong: {"encoding": "base64", "data": "aGVsbG8="},
        &broken: {"encoding": "lzma+base64", "data": "aGVsbG8="},
        &good: {"encoding": "base64", "data": "aGVsbG8="},
    }));
    let (outcome, _) = download("org.osbuild.inline", &items, cache.path());
    assert!(!outcome.success);
    let mismatch = format!("Checksum mismatch for {wrong}");
    assert_eq!(
        outcome.results[0],
        result(&wrong, Some(false), Some(&mismatch))
    );
    let error = outcome.results[1].error.as_ref().unwrap();
    assert!(
        error.starts_with(&format!(
            "decoding the data of {broken}: unpacking LZMA data"
        )),
        "{error}"
    );
    assert_eq!(outcome.results[2], result(&good, Some(false), None));
    let names: Vec<_> = fs_err::read_dir(cache.path().join("org.osbuild.files"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, [good]);
}
