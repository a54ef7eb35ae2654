//! Every manifest in upstream's tree: the same answer to `--inspect` as upstream gave.
//!
//! Needs `UPSTREAM`, a checkout, and `OSBUILD_INSPECT_EXPECTED`, the recorded answers (JSON, unpacked).

#![expect(clippy::unwrap_used, reason = "in a helper, too, it fails the test")]

mod directory_index;
mod upstream_checkout;

use std::path::{Path, PathBuf};

use directory_index::DirectoryIndex;
use osbuild_manifest::inspect::inspect;
use osbuild_manifest::resolve::resolve;
use osbuild_manifest::validate::{errors_value, validate};
use osbuild_manifest::value::{Object, Value};
use upstream_checkout::{required, upstream};

#[test]
#[ignore = "compares with upstream: needs its checkout in UPSTREAM and its answers in OSBUILD_INSPECT_EXPECTED"]
fn inspect_gives_what_upstream_gives() {
    let root = upstream();
    let expected = PathBuf::from(required(
        "OSBUILD_INSPECT_EXPECTED",
        "recorded answers of upstream",
    ));
    let expected = Value::from_json(&fs_err::read_to_string(expected).unwrap()).unwrap();
    let host =
        std::env::var("OSBUILD_HOST_RUNNER").unwrap_or_else(|_| "org.osbuild.debian12".to_owned());
    let modules = DirectoryIndex::new(&root);
    let (mut equal, mut different) = (0, Vec::new());
    for (name, answer) in expected.as_object().unwrap() {
        let path = manifest_path(&root, name.as_str().unwrap());
        let manifest = Value::from_json(&fs_err::read_to_string(&path).unwrap()).unwrap();
        let manifest = manifest
            .get("manifest")
            .filter(|inner| inner.as_object().is_some())
            .unwrap_or(&manifest);
        match difference(manifest, answer, &modules, &host) {
            None => equal += 1,
            Some(difference) => different.push(format!("{name}: {difference}")),
        }
    }
    println!("{equal} of {} answers are equal", equal + different.len());
    assert_eq!(different, Vec::<String>::new());
}

fn manifest_path(root: &Path, name: &str) -> PathBuf {
    ["test/data", "samples", "docs", "test/cases"]
        .into_iter()
        .find_map(|label| {
            name.strip_prefix(label)
                .map(|rest| root.join(label).join(rest.trim_start_matches('/')))
        })
        .unwrap()
}

fn difference(
    manifest: &Value,
    expected: &Value,
    modules: &DirectoryIndex,
    host: &str,
) -> Option<String> {
    let errors = validate(manifest, modules);
    let (status, answer) = if errors.is_empty() {
        match resolve(manifest, modules, host) {
            Ok(manifest) => (0, inspect(&manifest)),
            Err(error) => {
                return (expected.get("rc")?.as_i64() != Some(1)).then(|| error.to_string());
            }
        }
    } else {
        (2, sorted_errors(errors_value(&errors)))
    };
    if expected.get("rc").and_then(Value::as_i64) != Some(status) {
        return Some(format!(
            "status {status}, expected {}",
            expected.get("rc")?.to_python_json()
        ));
    }
    let canonical = canonical(&answer);
    let digest = digest(&canonical);
    let same = expected.get("canon").and_then(Value::as_str) == Some(digest.as_str());
    (!same).then(|| {
        format!(
            "another answer: {}",
            canonical.chars().take(300).collect::<String>()
        )
    })
}

/// The recorded digests are of compact, sorted JSON.
fn canonical(value: &Value) -> String {
    match value {
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(canonical).collect::<Vec<_>>().join(",")
        ),
        Value::Object(object) => {
            let mut members: Vec<_> = object.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            let members: Vec<_> = members
                .into_iter()
                .map(|(key, value)| {
                    format!(
                        "{}:{}",
                        Value::from(key.clone()).to_python_json(),
                        canonical(value)
                    )
                })
                .collect();
            format!("{{{}}}", members.join(","))
        }
        scalar => scalar.to_python_json(),
    }
}

fn sorted_errors(mut answer: Value) -> Value {
    let Some(Value::Array(errors)) = answer
        .as_object_mut()
        .and_then(|answer: &mut Object| answer.get_mut("errors"))
    else {
        return answer;
    };
    errors.sort_by_key(canonical);
    answer
}

fn digest(text: &str) -> String {
    use sha2::Digest as _;
    let digits = |byte: u8| {
        [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
    };
    sha2::Sha256::digest(text)
        .into_iter()
        .flat_map(digits)
        .collect()
}
