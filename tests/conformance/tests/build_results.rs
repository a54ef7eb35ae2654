//! Exit codes, result documents, monitor streams and exported trees: the same manifests built by upstream and here, on
//! upstream's own modules and on the built-in ones.

use std::path::Path;

use base64::prelude::{BASE64_STANDARD as BASE64, Engine as _};
use osbuild_conformance_tests::answer::first_difference;
use osbuild_conformance_tests::programs::{Ran, Upstream, ours};
use osbuild_testing::deb_repository::sha256;
use osbuild_testing::tree::describe;
use serde_json::{Value, json};

/// The SHA-256 of `hello\n`, which is `aGVsbG8K` in base64.
const HELLO: &str = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
const JSON: [&str; 5] = ["--json", "--export", "tree", "--output-directory", "out"];

fn hello() -> Value {
    json!({"org.osbuild.inline": {"items": {HELLO: {"encoding": "base64", "data": "aGVsbG8K"}}}})
}

fn copy_hello(to: &str) -> Value {
    copy(HELLO, to)
}

fn copy(checksum: &str, to: &str) -> Value {
    json!({
        "type": "org.osbuild.copy",
        "inputs": {"file": {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [checksum]}},
        "options": {"paths": [{"from": format!("input://file/{checksum}"), "to": format!("tree:///{to}")}]},
    })
}

/// A tree with accounts, then what the stages of 2020 make of them with shadow-utils.
fn accounts(users: &Value) -> Value {
    let files = [
        (
            "passwd",
            "root:x:0:0:root:/root:/bin/sh\nanna:x:1000:1000:Anna:/home/anna:/bin/sh\n",
            0o644,
        ),
        (
            "group",
            "root:x:0:\nadm:x:4:\nusers:x:100:\nanna:x:1000:\n",
            0o644,
        ),
        (
            "shadow",
            "root:*:19000:0:99999:7:::\nanna:!:19000:0:99999:7:::\n",
            0o600,
        ),
        ("gshadow", "root:*::\nadm:*::\nusers:*::\nanna:!::\n", 0o600),
    ];
    let mut items = serde_json::Map::new();
    let mut stages = vec![json!({"type": "org.osbuild.mkdir", "options": {"paths": [
        {"path": "/etc"}, {"path": "/home"}, {"path": "/home/anna"}, {"path": "/srv"}, {"path": "/srv/anna"}]}})];
    for (name, text, mode) in files {
        let checksum = format!("sha256:{}", sha256(text.as_bytes()));
        stages.push(copy(&checksum, &format!("etc/{name}")));
        let mode = format!("{mode:04o}");
        stages.push(json!({"type": "org.osbuild.chmod", "options": {"items": {format!("/etc/{name}"): {"mode": mode}}}}));
        items.insert(
            checksum,
            json!({"encoding": "base64", "data": BASE64.encode(text)}),
        );
    }
    stages.push(json!({"type": "org.osbuild.groups", "options": {"groups": {"staff": {"gid": 50}, "wheel": {"gid": 10}}}}));
    stages.push(json!({"type": "org.osbuild.users", "options": {"users": users}}));
    json!({"version": "2", "sources": {"org.osbuild.inline": {"items": items}},
           "pipelines": [{"name": "tree", "source-epoch": 1_700_000_000, "stages": stages}]})
}

/// Manifests and the arguments to build them with.
fn cases() -> Vec<(&'static str, Value, Vec<&'static str>)> {
    let stages = json!([
        {"type": "org.osbuild.mkdir", "options": {"paths": [
            {"path": "/etc/deep/er", "parents": true, "mode": 448},
            {"path": "/srv"}, {"path": "/usr/lib/sysctl.d", "parents": true}, {"path": "/usr/lib/modprobe.d"}]}},
        copy_hello("etc/greeting"),
        {"type": "org.osbuild.hostname", "options": {"hostname": "conform"}},
        {"type": "org.osbuild.locale", "options": {"language": "en_GB.UTF-8"}},
        {"type": "org.osbuild.machine-id", "options": {"first-boot": "yes"}},
        {"type": "org.osbuild.fstab", "options": {"filesystems": [
            {"uuid": "4f1a4d90-0ab6-4d0c-a5ef-5a6e0b4e8f5c", "vfs_type": "ext4", "path": "/", "freq": 1, "passno": 1}]}},
        {"type": "org.osbuild.truncate", "options": {"filename": "sparse", "size": "1048576"}},
        {"type": "org.osbuild.sysctld", "options": {"filename": "9.conf", "config": [{"key": "a.b", "value": "1"}]}},
        {"type": "org.osbuild.modprobe", "options": {"filename": "x.conf", "commands": [
            {"command": "blacklist", "modulename": "floppy"}]}},
        {"type": "org.osbuild.chmod", "options": {"items": {"/etc/greeting": {"mode": "0640"}}}},
    ]);
    let tree = json!({"version": "2", "sources": hello(), "pipelines": [{"name": "tree", "stages": stages}]});
    let second = json!({"version": "2", "sources": hello(), "pipelines": [
        {"name": "first", "stages": [{"type": "org.osbuild.noop"}, copy_hello("a")]},
        {"name": "tree", "source-epoch": 1_700_000_000, "stages": [
            {"type": "org.osbuild.copy",
             "inputs": {"tree": {"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline", "references": ["name:first"]}},
             "options": {"paths": [{"from": "input://tree/", "to": "tree:///"}]}}]},
    ]});
    let failing = json!({"version": "2", "pipelines": [
        {"name": "tree", "stages": [
            {"type": "org.osbuild.noop"},
            {"type": "org.osbuild.error", "options": {"returncode": 7}},
            {"type": "org.osbuild.noop"}]},
        {"name": "after", "stages": []},
    ]});
    let format_1 = json!({"sources": {}, "pipeline": {
        "stages": [{"name": "org.osbuild.noop", "options": {}},
                   {"name": "org.osbuild.hostname", "options": {"hostname": "one"}}],
        "assembler": {"name": "org.osbuild.tar", "options": {"filename": "tree.tar"}}}});
    let failing_1 = json!({"pipeline": {"stages": [{"name": "org.osbuild.error", "options": {"returncode": 3}}]}});
    let assembler = vec![
        "--json",
        "--export",
        "assembler",
        "--output-directory",
        "out",
    ];
    vec![
        ("a tree", tree.clone(), JSON.to_vec()),
        ("two pipelines with an epoch", second.clone(), JSON.to_vec()),
        ("a failing stage", failing.clone(), JSON.to_vec()),
        ("an assembler of format 1", format_1, assembler),
        (
            "a failing stage of format 1",
            failing_1.clone(),
            vec!["--json"],
        ),
        (
            "accounts",
            accounts(&json!({
                "anna": {"uid": 1000, "groups": ["adm", "wheel"], "description": "Anna A.",
                         "home": "/srv/anna", "shell": "/bin/bash", "password": "$6$salt$hash", "key": "ssh-ed25519 A"},
                "bert": {"uid": 2000, "gid": 50, "home": "/home/bert", "description": "Bert", "password": "",
                         "keys": ["ssh-ed25519 B", "ssh-ed25519 C"], "expiredate": 20000},
                "cleo": {"uid": 2000, "home": "", "groups": ["users"], "force_password_reset": true},
            })),
            JSON.to_vec(),
        ),
        (
            "an account whose number would change",
            accounts(&json!({"anna": {"uid": 1001}})),
            JSON.to_vec(),
        ),
        (
            "an unknown export",
            tree.clone(),
            vec!["--json", "--export", "nothing", "--output-directory", "out"],
        ),
        (
            "no output directory",
            tree.clone(),
            vec!["--export", "tree"],
        ),
        (
            "a checkpoint that matches nothing",
            tree.clone(),
            vec!["--checkpoint", "x*"],
        ),
        (
            "checkpoints",
            second.clone(),
            vec![
                "--json",
                "--checkpoint",
                "*",
                "--export",
                "tree",
                "--output-directory",
                "out",
            ],
        ),
        (
            "nothing to do",
            json!({"version": "2", "pipelines": []}),
            vec!["--json"],
        ),
        (
            "what is shown of a build",
            second.clone(),
            vec!["--export", "tree", "--output-directory", "out"],
        ),
        (
            "what is shown of a failure",
            failing.clone(),
            vec!["--export", "tree", "--output-directory", "out"],
        ),
        (
            "a quiet failure",
            failing,
            vec!["--quiet", "--export", "tree", "--output-directory", "out"],
        ),
        (
            "events",
            second,
            vec![
                "--quiet",
                "--monitor",
                "JSONSeqMonitor",
                "--export",
                "tree",
                "--output-directory",
                "out",
            ],
        ),
        (
            "events of a failure",
            failing_1,
            vec!["--quiet", "--monitor", "JSONSeqMonitor"],
        ),
    ]
}

#[test]
#[ignore = "compares with upstream: needs its checkout in OSBUILD_UPSTREAM and root (`make conformance`)"]
fn builds_come_to_the_same() {
    let upstream = Upstream::start().unwrap();
    let libdir = upstream.checkout().to_str().unwrap().to_owned();
    let mut differences = Vec::new();
    for (name, manifest, arguments) in cases() {
        let build = |with: &[&str], program: &dyn Fn(&[&str], &Path) -> Ran| {
            let folder = tempfile::tempdir().unwrap();
            fs_err::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
            let mut line = vec!["--store", "store"];
            line.extend(with);
            line.extend(&arguments);
            line.push("manifest.json");
            let ran = program(&line, folder.path());
            let out = folder.path().join("out");
            let tree = if out.exists() {
                without_archives(&describe(&out).unwrap())
            } else {
                String::new()
            };
            (masked(&ran, folder.path()), tree)
        };
        let theirs = build(&["--libdir", &libdir], &|line, folder| {
            upstream.run(line, folder).unwrap()
        });
        let by_us = |line: &[&str], folder: &Path| ours(line, folder).unwrap();
        for (modules, with) in [
            ("upstream's", &["--libdir", &libdir][..]),
            ("built-in", &[]),
        ] {
            let ours = build(with, &by_us);
            if let Some(found) = difference(&theirs, &ours) {
                differences.push(format!("{name}, {modules} modules: {found}"));
            }
        }
    }
    assert!(
        differences.is_empty(),
        "{} differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

fn difference(theirs: &(Ran, String), ours: &(Ran, String)) -> Option<String> {
    if theirs.0.code != ours.0.code {
        return Some(format!(
            "exit code {} is {} here\n{}\n{}",
            theirs.0.code, ours.0.code, ours.0.stdout, ours.0.stderr
        ));
    }
    let documents = (values(&theirs.0.stdout), values(&ours.0.stdout));
    let output = match documents {
        (Some(theirs), Some(ours)) => first_difference("", &theirs, &ours),
        _ => (theirs.0.stdout != ours.0.stdout)
            .then(|| format!("it shows\n{}\nhere\n{}", theirs.0.stdout, ours.0.stdout)),
    };
    output.or_else(|| {
        (theirs.1 != ours.1).then(|| format!("the tree is\n{}\nhere\n{}", theirs.1, ours.1))
    })
}

/// An archive has times in it; what the tree has in it is compared where it is exported as a tree.
fn without_archives(tree: &str) -> String {
    let lines = tree.lines().map(|line| match line.split_once(".tar ") {
        Some((name, _)) => format!("{name}.tar\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
}

/// One document, or a sequence of records as RFC 7464 has it; without times.
fn values(text: &str) -> Option<Value> {
    let records: Option<Vec<Value>> = text
        .split('\u{1e}')
        .filter(|record| !record.trim().is_empty())
        .map(|record| serde_json::from_str(record).ok())
        .collect();
    let mut records = records.filter(|records| !records.is_empty())?;
    records.iter_mut().for_each(normalize);
    // How a stage's output is cut into records depends on when it came; all of it is in the stage's result.
    let mut of_stages = Vec::new();
    records.retain(|record| {
        let context = &record["context"];
        let is_output = context["origin"]
            .as_str()
            .is_some_and(|origin| origin.starts_with("stages/"));
        if is_output {
            of_stages.push(context["id"].clone());
        }
        !of_stages.contains(&context["id"]) || context["id"].is_null()
    });
    Some(records.into())
}

/// `docs/differences.md`: upstream's runner sets up the build root before each stage, and what systemd-tmpfiles has to
/// say about the host is in each stage's output; here it is set up once. Built-in stages show the commands they run.
fn is_on_purpose(line: &str) -> bool {
    line.starts_with("/usr/lib/tmpfiles.d/") || line.starts_with("$ ")
}

fn normalize(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                if matches!(key.as_str(), "timestamp" | "duration") {
                    *value = Value::Null;
                } else {
                    normalize(value);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(normalize),
        Value::String(text) if text.split('\n').any(is_on_purpose) => {
            let lines: Vec<&str> = text
                .split('\n')
                .filter(|line| !is_on_purpose(line))
                .collect();
            *text = lines.join("\n");
        }
        _ => {}
    }
}

/// Without what is another each time: the folder, and seconds in the log.
fn masked(ran: &Ran, folder: &Path) -> Ran {
    let mask = |text: &str| {
        let text = text.replace(&folder.display().to_string(), "[folder]");
        let lines = text
            .lines()
            .filter(|line| !is_on_purpose(line))
            .map(|line| match line.find("Duration: ") {
                Some(start) => format!("{}Duration: [time]\n", &line[..start]),
                None => format!("{line}\n"),
            });
        lines.collect::<String>()
    };
    Ran {
        code: ran.code,
        stdout: mask(&ran.stdout),
        stderr: mask(&ran.stderr),
    }
}
