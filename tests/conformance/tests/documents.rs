//! Ids, verdicts, paths and messages: the same answers to `--inspect` as upstream's, on upstream's own manifests and on
//! generated ones.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "the helpers of these tests are test code, too"
)]

use std::path::{Path, PathBuf};

use osbuild_conformance_tests::answer::{difference, forgive, is_crash};
use osbuild_conformance_tests::generate::Generator;
use osbuild_conformance_tests::programs::{Upstream, ours};
use serde_json::Value;

/// How many documents are generated, unless `OSBUILD_CONFORMANCE_DOCUMENTS` says otherwise.
const DOCUMENTS: usize = 600;

#[test]
#[ignore = "compares with upstream: needs its checkout in OSBUILD_UPSTREAM (`make conformance`)"]
fn upstreams_own_manifests_are_inspected_alike() {
    let upstream = Upstream::start().unwrap();
    let mut files = Vec::new();
    for folder in ["test/data", "samples"] {
        collect(&upstream.checkout().join(folder), &mut files);
    }
    files.sort();
    let mut comparison = Comparison::new(&upstream);
    for file in &files {
        let text = fs_err::read(file).unwrap();
        comparison.compare(&file.display().to_string(), &text);
    }
    assert!(comparison.compared > 300, "{} files", comparison.compared);
    comparison.finish();
}

#[test]
#[ignore = "compares with upstream: needs its checkout in OSBUILD_UPSTREAM (`make conformance`)"]
fn generated_manifests_are_inspected_alike() {
    let upstream = Upstream::start().unwrap();
    let schemas = upstream.schemas().unwrap();
    let number = |name: &str| {
        let value = std::env::var(name).ok()?;
        Some(value.parse().unwrap())
    };
    let count = number("OSBUILD_CONFORMANCE_DOCUMENTS").map_or(DOCUMENTS, |count| count as usize);
    let seed = number("OSBUILD_CONFORMANCE_SEED").unwrap_or(1);
    let mut generator = Generator::new(seed, &schemas);
    let mut comparison = Comparison::new(&upstream);
    for index in 0..count {
        let text = generator.document();
        comparison.compare(&format!("document {index} of seed {seed}"), text.as_bytes());
    }
    // Whole and broken ones, and not all broken in the same way.
    assert!(
        comparison.accepted * 20 > count,
        "{} accepted",
        comparison.accepted
    );
    assert!(
        comparison.refused * 3 > count,
        "{} refused",
        comparison.refused
    );
    comparison.finish();
}

/// Manifests, also those within the files that describe stage tests.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|suffix| suffix == "json") {
            files.push(path);
        }
    }
}

/// `docs/differences.md`: what is wrong about a mount's name, when that is neither text nor number, is said once, not
/// again with the name itself in the path.
fn has_odd_name_in_path(error: &Value) -> bool {
    let path = error["path"].as_array().map_or(&[][..], Vec::as_slice);
    path.iter().any(|part| !part.is_string() && !part.is_u64())
}

struct Comparison<'a> {
    upstream: &'a Upstream,
    folder: tempfile::TempDir,
    compared: usize,
    accepted: usize,
    refused: usize,
    /// Documents at which upstream fails with a traceback; ours must refuse them.
    crashes: usize,
    /// Documents at which ours has an error more, of the kind that `docs/differences.md` explains.
    forgiven: usize,
    differences: Vec<String>,
}

/// Errors that `docs/differences.md` explains, where upstream's schema of the manifest does not ask for what its code
/// takes for granted: pipelines have names, and these are texts; devices and inputs are no lists.
fn is_asked_for_here_only(error: &Value) -> bool {
    let path = error["path"].as_array().map_or(&[][..], Vec::as_slice);
    let message = error["message"].as_str().unwrap_or_default();
    match path {
        [_, _, _, _, group] => {
            (group == "devices" || group == "inputs")
                && message.starts_with('[')
                && message.ends_with("is not of type 'object'")
        }
        [list, _] => list == "pipelines" && message == "'name' is a required property",
        [list, _, key] => {
            list == "pipelines" && key == "name" && message.ends_with("is not of type 'string'")
        }
        _ => false,
    }
}

impl<'a> Comparison<'a> {
    fn new(upstream: &'a Upstream) -> Self {
        Self {
            upstream,
            folder: tempfile::tempdir().unwrap(),
            compared: 0,
            accepted: 0,
            refused: 0,
            crashes: 0,
            forgiven: 0,
            differences: Vec::new(),
        }
    }

    fn compare(&mut self, name: &str, text: &[u8]) {
        let folder = self.folder.path();
        fs_err::write(folder.join("manifest.json"), text).unwrap();
        let libdir = self.upstream.checkout().to_str().unwrap();
        let arguments = ["--libdir", libdir, "--inspect", "manifest.json"];
        let mut theirs = self.upstream.run(&arguments, folder).unwrap();
        forgive(&mut theirs, has_odd_name_in_path);
        let mut ours = ours(&arguments, folder).unwrap();
        self.compared += 1;
        let found = if is_crash(&theirs) {
            self.crashes += 1;
            let is_refused = (1..=2).contains(&ours.code) && !ours.stderr.contains("panicked");
            (!is_refused).then(|| {
                format!(
                    "upstream crashes ({}), here the exit code is {} {}{}",
                    theirs.stderr.lines().last().unwrap_or_default(),
                    ours.code,
                    ours.stdout.chars().take(300).collect::<String>(),
                    ours.stderr
                )
            })
        } else {
            match theirs.code {
                0 => self.accepted += 1,
                _ => self.refused += 1,
            }
            let is_forgiven = forgive(&mut ours, is_asked_for_here_only);
            self.forgiven += usize::from(is_forgiven);
            if is_forgiven && ours.code == 0 && theirs.code == 0 {
                None
            } else {
                difference(&theirs, &ours)
            }
        };
        if let Some(found) = found {
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR"))
                .join(format!("difference-{}.json", self.differences.len()));
            fs_err::write(&kept, text).unwrap();
            self.differences
                .push(format!("{name} ({}): {found}", kept.display()));
        }
    }

    fn finish(self) {
        eprintln!(
            "{} documents: {} accepted, {} refused, {} at which upstream crashes; {} differ on purpose, {} otherwise",
            self.compared,
            self.accepted,
            self.refused,
            self.crashes,
            self.forgiven,
            self.differences.len()
        );
        let shown: Vec<String> = self.differences.iter().take(15).cloned().collect();
        assert!(shown.is_empty(), "{}", shown.join("\n"));
    }
}
