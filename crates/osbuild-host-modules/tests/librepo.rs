//! The librepo source, as the engine calls it, on repositories with good and bad mirrors.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Mutex;

use osbuild_fetch::{Algorithm, Hasher};
use osbuild_host_modules::{
    ItemHint, ItemHints, SourceEvent, SourceOutcome, SourceRequest, SourceResult, source,
};
use osbuild_sandbox::CancelToken;
use osbuild_testing::server::{Answer, Server};
use serde_json::{Map, Value, json};

const NAME: &str = "org.osbuild.librepo";

fn sha256(bytes: &[u8]) -> String {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.finish().to_string()
}

/// Downloads; gives the outcome, and what was logged but for warnings.
fn download(items: &Value, mirrors: &Value, cache: &Path) -> (SourceOutcome, Vec<String>) {
    download_with(items, mirrors, cache, &ItemHints::default())
}

fn download_with(
    items: &Value,
    mirrors: &Value,
    cache: &Path,
    hints: &ItemHints,
) -> (SourceOutcome, Vec<String>) {
    let lines = Mutex::new(Vec::new());
    let none = Map::new();
    let outcome = source(NAME).unwrap().download(
        &SourceRequest {
            items: items.as_object().unwrap_or(&none),
            options: &json!({ "mirrors": mirrors }),
            hints,
            cache,
            cancel: &CancelToken::new().unwrap(),
        },
        &|event| match event {
            SourceEvent::Warning(line) if line.starts_with("WARNING: failed") => {}
            SourceEvent::Log(line) | SourceEvent::Warning(line) => {
                lines.lock().unwrap().push(line);
            }
            _ => {}
        },
    );
    (outcome, lines.into_inner().unwrap())
}

fn done(checksum: &str, cached: bool) -> SourceResult {
    SourceResult {
        checksum: Some(checksum.to_owned()),
        cached: Some(cached),
        error: None,
    }
}

fn error(outcome: &SourceOutcome) -> &str {
    assert!(!outcome.success);
    outcome.results.last().unwrap().error.as_ref().unwrap()
}

fn stored(cache: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs_err::read_dir(cache.join("org.osbuild.files"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn metalink(mirrors: &[(u8, String)]) -> Answer {
    let urls: Vec<_> = mirrors
        .iter()
        .map(|(preference, url)| {
            format!("<url preference=\"{preference}\">{url}/repodata/repomd.xml</url>")
        })
        .collect();
    let text = format!(
        "<metalink version=\"3.0\"><files><file name=\"repomd.xml\"><resources>{}\
         </resources></file></files></metalink>",
        urls.concat()
    );
    Answer::File(text.into_bytes())
}

#[test]
fn a_repository_is_given_by_its_url() {
    let server = Server::start().unwrap();
    server.answer("/r/p/a%20b%2B1.rpm", [Answer::File(b"one".to_vec())]);
    let cache = tempfile::tempdir().unwrap();
    let one = sha256(b"one");
    let items = json!({ &one: {"path": "p/a b+1.rpm", "mirror": "m"} });
    let mirrors = json!({"m": {"url": server.url("/r/"), "type": "baseurl", "max-parallels": 2}});
    let (outcome, lines) = download(&items, &mirrors, cache.path());
    assert_eq!(
        outcome,
        SourceOutcome {
            source_type: NAME,
            success: true,
            results: vec![done(&one, false)],
        }
    );
    assert_eq!(lines, ["Downloaded p/a b+1.rpm"]);
    assert_eq!(stored(cache.path()), [one.as_str()]);

    let (outcome, lines) = download(&items, &mirrors, cache.path());
    assert_eq!(outcome.results, [done(&one, true)]);
    assert_eq!(lines, ["Already downloaded p/a b+1.rpm"]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_metalinks_best_mirrors_are_asked_first_and_the_next_steps_in() {
    let (bad, good, spare) = (
        Server::start().unwrap(),
        Server::start().unwrap(),
        Server::start().unwrap(),
    );
    let lists = Server::start().unwrap();
    lists.answer(
        "/metalink?repo=x",
        [metalink(&[
            (50, spare.url("/r")),
            (99, good.url("/r")),
            (100, bad.url("/r")),
            (100, "file:///nonexistent".to_owned()),
        ])],
    );
    // One package is missing, one is another one by the same name.
    bad.answer("/r/two.rpm", [Answer::File(b"other".to_vec())]);
    good.answer("/r/one.rpm", [Answer::File(b"one".to_vec())]);
    good.answer("/r/two.rpm", [Answer::File(b"two".to_vec())]);
    let cache = tempfile::tempdir().unwrap();
    let (one, two) = (sha256(b"one"), sha256(b"two"));
    let items = json!({
        &one: {"path": "one.rpm", "mirror": "m"},
        &two: {"path": "two.rpm", "mirror": "m"},
    });
    let mirrors = json!({"m": {"url": lists.url("/metalink?repo=x"), "type": "metalink"}});
    let (outcome, _) = download(&items, &mirrors, cache.path());
    assert_eq!(outcome.results, [done(&one, false), done(&two, false)]);
    let mut names = [one, two];
    names.sort();
    assert_eq!(stored(cache.path()), names);
    assert!(!bad.requests().is_empty());
    assert_eq!(spare.requests(), []);
}

#[test]
fn a_list_of_mirrors_is_read_and_each_repository_has_its_own() {
    let server = Server::start().unwrap();
    let list = format!("# mirrors\n{}\n{}\n", server.url("/gone"), server.url("/r"));
    server.answer("/list", [Answer::File(list.into_bytes())]);
    server.answer("/r/one", [Answer::File(b"one".to_vec())]);
    server.answer("/s/one", [Answer::File(b"two".to_vec())]);
    let cache = tempfile::tempdir().unwrap();
    let (one, two) = (sha256(b"one"), sha256(b"two"));
    let items = json!({
        &one: {"path": "one", "mirror": "list"},
        &two: {"path": "one", "mirror": "other"},
    });
    let mirrors = json!({
        "other": {"url": server.url("/s"), "type": "baseurl", "fastest-mirror": true},
        "list": {"url": server.url("/list"), "type": "mirrorlist"},
        "unused": {"url": server.url("/never"), "type": "metalink"},
    });
    let (outcome, lines) = download(&items, &mirrors, cache.path());
    assert_eq!(outcome.results, [done(&one, false), done(&two, false)]);
    assert!(
        lines[0].starts_with("WARNING: fastest-mirror: "),
        "{lines:?}"
    );
    let asked_in_vain = server.requests().iter().any(|r| r.path == "/never");
    assert!(!asked_in_vain);
}

#[test]
fn what_no_mirror_has_is_an_error_and_the_rest_is_kept() {
    let server = Server::start().unwrap();
    let list = format!("{}\n{}\n", server.url("/a"), server.url("/b"));
    server.answer("/list", [Answer::File(list.into_bytes())]);
    server.answer("/b/one", [Answer::File(b"one".to_vec())]);
    let cache = tempfile::tempdir().unwrap();
    let (one, two) = (sha256(b"one"), sha256(b"two"));
    let items = json!({
        &one: {"path": "one", "mirror": "m"},
        &two: {"path": "two", "mirror": "m"},
    });
    let mirrors = json!({"m": {"url": server.url("/list"), "type": "mirrorlist"}});
    let (outcome, lines) = download(&items, &mirrors, cache.path());
    assert_eq!(outcome.results[0], done(&one, false));
    let text = error(&outcome);
    assert!(text.starts_with("error downloading two: "), "{text}");
    assert!(text.contains("the server answers 404"), "{text}");
    assert!(lines.contains(&"Error downloading two".to_owned()));
    assert_eq!(stored(cache.path()), [one]);
}

#[test]
fn wrong_bytes_and_too_many_bytes_are_never_kept() {
    let server = Server::start().unwrap();
    server.answer("/r/one", [Answer::File(b"not one".to_vec())]);
    let cache = tempfile::tempdir().unwrap();
    let one = sha256(b"one");
    let items = json!({ &one: {"path": "one", "mirror": "m"} });
    let mirrors = json!({"m": {"url": server.url("/r"), "type": "baseurl"}});
    let (outcome, _) = download(&items, &mirrors, cache.path());
    assert!(error(&outcome).contains("checksum mismatch"), "{outcome:?}");
    assert_eq!(stored(cache.path()), Vec::<String>::new());

    let hint = ItemHint {
        size: Some(3),
        proxy: None,
    };
    let hints = ItemHints::from([(one, hint)]);
    let (outcome, _) = download_with(&items, &mirrors, cache.path(), &hints);
    assert!(
        !error(&outcome).contains("checksum mismatch"),
        "{outcome:?}"
    );
    assert_eq!(stored(cache.path()), Vec::<String>::new());
}

#[test]
fn bad_input_is_told() {
    let server = Server::start().unwrap();
    server.answer(
        "/bomb",
        [Answer::File(b"<!DOCTYPE a [<!ENTITY b 'c'>]><a/>".to_vec())],
    );
    server.answer("/garbage", [Answer::File(b"<html>Sorry</html>".to_vec())]);
    server.answer("/empty", [Answer::File(Vec::new())]);
    server.answer("/local", [Answer::File(b"file:///etc\n".to_vec())]);
    let one = sha256(b"one");
    let told = |path: &str, mirror: Value| {
        let cache = tempfile::tempdir().unwrap();
        let items = json!({ &one: {"path": path, "mirror": "m"} });
        let (outcome, _) = download(&items, &json!({ "m": mirror }), cache.path());
        assert_eq!(stored(cache.path()), Vec::<String>::new());
        error(&outcome).to_owned()
    };
    for (list, kind, reason) in [
        (
            "/bomb",
            "metalink",
            "a document type has no place in a metalink",
        ),
        ("/garbage", "mirrorlist", "none has an http or https URL"),
        ("/garbage", "metalink", "of 0 mirrors in it"),
        ("/empty", "mirrorlist", "of 0 mirrors in it"),
        ("/local", "mirrorlist", "of 1 mirrors in it"),
        ("/missing", "metalink", "the server answers 404"),
    ] {
        let text = told("one", json!({"url": server.url(list), "type": kind}));
        assert!(text.contains(reason), "{text}");
    }
    let text = told(
        "../one",
        json!({"url": server.url("/r"), "type": "baseurl"}),
    );
    assert_eq!(
        text,
        "error downloading ../one: the path leads out of the repository"
    );
    for number in [json!(0), json!(-1), json!(1.5)] {
        let text = told(
            "one",
            json!({"url": server.url("/r"), "type": "baseurl", "max-parallels": number}),
        );
        assert!(text.contains("max-parallels is "), "{text}");
    }
}

#[test]
fn a_mirror_that_is_not_described_stops_everything() {
    let cache = tempfile::tempdir().unwrap();
    let items = json!({ sha256(b"one"): {"path": "one", "mirror": "none"} });
    let (outcome, _) = download(&items, &json!({}), cache.path());
    assert_eq!(error(&outcome), "Missing mirror: none");
}
