//! What is read as a lock, and what is said of one that cannot be used.

use std::path::Path;

use crate::support::{NamedPackages, recipe};
use osbuild_recipe::{
    Lock, LockChoice, LockError, SolveEnvironment, UnusableLock, build_manifest, solve,
};

const SMALL: &str = "
distribution: debian
release: bookworm
architecture: amd64
packages: {include: [openssh-server]}
";

fn lock() -> Lock {
    solve(&recipe(SMALL), &NamedPackages).unwrap()
}

/// Compiles the recipe beside a lock with this text and gives the error.
#[track_caller]
fn refusal(lock: impl AsRef<[u8]>) -> UnusableLock {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("test.yaml");
    fs_err::write(&recipe, SMALL).unwrap();
    fs_err::write(folder.path().join("test.lock"), lock).unwrap();
    let environment = SolveEnvironment {
        solver: &NamedPackages,
        lock: LockChoice::Beside,
    };
    build_manifest(&recipe, &environment)
        .expect_err("the lock is wrong")
        .downcast()
        .expect("it is the lock that is wrong")
}

/// The error's text without the folder, its place and its advice.
#[track_caller]
fn report(lock: impl AsRef<[u8]>) -> String {
    let error = refusal(lock);
    let place = error.reason.place().map_or("-".to_owned(), |place| {
        format!("{}:{}", place.line, place.column)
    });
    let hint = error.hint(Path::new("test.yaml"));
    format!("{place}: {} ({hint})", error.reason)
}

#[track_caller]
fn report_with(from: &str, to: &str) -> String {
    let text = lock().to_json();
    assert!(text.contains(from), "{from} is not in {text}");
    report(text.replacen(from, to, 1))
}

const ANEW: &str = "run `osbuild lock test.yaml` to choose the packages anew";

#[test]
fn a_lock_of_another_version_is_told_from_a_damaged_one() {
    for (text, expected) in [
        (
            "{\"lock-version\": 2}",
            format!(
                "-: the lock was made by a newer osbuild: it has version 2, this osbuild reads version 1 (update osbuild, or {ANEW})"
            ),
        ),
        (
            "{\"lock-version\": 0}",
            format!(
                "-: the lock was made by an older osbuild: it has version 0, this osbuild reads version 1 ({ANEW})"
            ),
        ),
        (
            "{\"lock-version\": 1}",
            format!("1:19: the lock is damaged: missing field `recipe-digest` ({ANEW})"),
        ),
        (
            "",
            format!("1:1: the lock is damaged: EOF while parsing a value ({ANEW})"),
        ),
        (
            "[]",
            format!(
                "1:2: the lock is damaged: invalid length 0, expected struct Lock with 9 elements ({ANEW})"
            ),
        ),
        (
            "<<<<<<< HEAD\n{}",
            format!("1:1: the lock is damaged: expected value ({ANEW})"),
        ),
    ] {
        assert_eq!(report(text), expected, "{text}");
    }
    assert_eq!(
        report(b"{\n \"lock\xff"),
        format!("2:7: the lock is damaged: it is not UTF-8 text ({ANEW})")
    );
}

#[test]
fn deep_nesting_in_a_lock_is_an_error() {
    let error = refusal("[".repeat(1_000_000));
    assert!(matches!(error.reason, LockError::Garbled { .. }), "{error}");
}

#[test]
fn wrong_values_of_a_lock_are_found_where_they_stand() {
    let good = lock();
    let package = &good.packages.system[0];
    let epoch = format!("\"source-epoch\": {}", good.source_epoch);
    for (from, to, expected) in [
        (
            package.sha256.as_str(),
            "ABC",
            "the lock is damaged: `ABC` is not a SHA-256, 64 hexadecimal digits in lower case",
        ),
        (
            package.urls[0].as_str(),
            "deb.example.org/base-files.deb",
            "the lock is damaged: `deb.example.org/base-files.deb` is not an address that begins with \
             https://, http:// or file:///",
        ),
        (
            epoch.as_str(),
            "\"source-epoch\": -5",
            "the lock is damaged: `source-epoch` is -5, but must be between 0 and 4294967295",
        ),
        (
            epoch.as_str(),
            "\"source-epoch\": 4294967296",
            "the lock is damaged: `source-epoch` is 4294967296, but must be between 0 and 4294967295",
        ),
        (
            "\"size\": 1000",
            "\"size\": -1",
            "the lock is damaged: invalid value: integer `-1`, expected u64",
        ),
        (
            "\"release\"",
            "\"releese\"",
            "the lock is damaged: unknown field `releese`, expected one of `lock-version`, `recipe-digest`, \
             `distribution`, `release`, `architecture`, `source-epoch`, `repositories`, `package-digests`, `packages`",
        ),
        (
            good.recipe_digest.as_str(),
            "sha256:",
            "the lock is damaged: `sha256:` is not `sha256:` and 64 hexadecimal digits in lower case",
        ),
    ] {
        let text = good.to_json();
        let line = text[..text.find(from).unwrap()].matches('\n').count() + 1;
        let report = report_with(from, to);
        let (place, rest) = report.split_once(": ").unwrap();
        assert_eq!(rest, format!("{expected} ({ANEW})"));
        assert_eq!(
            place.split(':').next().unwrap(),
            line.to_string(),
            "{report}"
        );
    }
    let without_address = {
        let mut lock = lock();
        lock.packages.build[0].urls.clear();
        lock.to_json()
    };
    assert!(report(without_address).contains("a package has no address"),);
}

#[test]
fn an_edited_list_of_packages_is_noticed() {
    type Edit = fn(&mut Lock);
    let edits: [(&str, Edit); 8] = [
        ("system", |lock| drop(lock.packages.system.pop())),
        ("build", |lock| drop(lock.packages.build.remove(0))),
        ("system", |lock| {
            let twice = lock.packages.system[0].clone();
            lock.packages.system.push(twice);
        }),
        ("system", |lock| lock.packages.system.swap(0, 1)),
        ("system", |lock| lock.packages.system[1].name.push('x')),
        ("system", |lock| {
            "2.0".clone_into(&mut lock.packages.system[0].version);
        }),
        ("build", |lock| {
            "all".clone_into(&mut lock.packages.build[0].architecture);
        }),
        ("system", |lock| {
            lock.packages.system[0].sha256 = "ab".repeat(32);
        }),
    ];
    for (number, (list, edit)) in edits.into_iter().enumerate() {
        let mut lock = lock();
        edit(&mut lock);
        let text = lock.to_json();
        let line = text
            .lines()
            .position(|line| line.contains("package-digests"))
            .unwrap();
        let line = line + if list == "system" { 2 } else { 3 };
        let column = if list == "system" { 16 } else { 15 };
        assert_eq!(
            report(text),
            format!(
                "{line}:{column}: the packages of `{list}` in the lock are not those that were locked: \
                 the list was edited or merged by hand (restore the lock, or {ANEW})"
            ),
            "edit {number}"
        );
    }
}

#[test]
fn addresses_may_be_edited_when_a_mirror_moves() {
    let text = lock()
        .to_json()
        .replace("deb.example.org", "mirror.example.net");
    let moved = Lock::from_json(&text).unwrap();
    assert_eq!(moved.package_digests, lock().package_digests);
    assert!(moved.packages.system[0].urls[0].contains("mirror.example.net"));
}

#[test]
fn a_stale_lock_says_how_to_renew_it() {
    let stale = lock().to_json().replacen("\"bookworm\"", "\"trixie\"", 1);
    assert_eq!(
        report(stale),
        format!(
            "-: the lock is stale: the lock was made for debian trixie amd64, \
             the recipe asks for debian bookworm amd64 ({ANEW})"
        )
    );
}
