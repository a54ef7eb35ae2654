//! A recipe of RPM packages, from the repository to the archive.

use std::path::Path;
use std::process::Command;

use fs_err as fs;
use osbuild_system_tests::workplace::Workplace;
use osbuild_testing::rpm_database::RpmDatabase;
use osbuild_testing::rpm_repository::serve;
use osbuild_testing::server::{Answer, Server};

use crate::manifests::DATABASE;
use crate::package_set::PackageSet;
use crate::small_system::SmallSystem;

/// What is built, but for the repository's address.
const RECIPE: &str = "
distribution: fedora
release: 43
hostname: small
locale: de_DE.UTF-8
timezone: Europe/Berlin
keymap: de-nodeadkeys
repositories: [{mirror: MIRROR, keyring: key.asc}]
packages: {include: [greeting]}
groups: [{name: web, gid: 4000}]
users:
  - {name: lena, groups: [wheel, web], sudo: without-password, password: '*'}
files: [{path: /srv/www/index.html, content: \"hello\\n\", owner: lena, group: web}]
outputs: [tar.zst, directory]
";

/// Needs what the system is made with, and what tools of this machine it is made of.
macro_rules! needs_small_system {
    () => {
        needs_packages!();
        osbuild_testing::needs![
            tool("createrepo_c"),
            tool("ldd"),
            tool("tar"),
            tool("useradd"),
            tool("zstd")
        ];
    };
}

/// A workplace with the recipe, and a server of its repository.
fn prepare() -> (Workplace, Server) {
    let system = SmallSystem::get();
    let server = Server::start().unwrap();
    serve(system.folder(), &server, "/repo").unwrap();
    let workplace = Workplace::new();
    workplace.write("key.asc", &system.key);
    workplace.write("small.yaml", RECIPE.replace("MIRROR", &server.url("/repo")));
    (workplace, server)
}

#[track_caller]
fn assert_not_locked(workplace: &Workplace, expected: &str) {
    let ran = workplace.run(workplace.command(&["lock", "small.yaml", "--store", "store"]));
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains(expected), "{expected}\n{}", ran.stderr);
    assert!(!workplace.path("small.lock").exists());
}

#[test]
fn packages_that_no_repository_has_are_told_with_their_place() {
    needs_small_system!();
    let (workplace, server) = prepare();
    let recipe = RECIPE.replace("MIRROR", &server.url("/repo"));
    workplace.write("small.yaml", recipe.replace("[greeting]", "[greting]"));
    assert_not_locked(&workplace, "no repository has a package `greting`");
    assert_not_locked(&workplace, "small.yaml:9:22");
}

#[test]
fn metadata_that_is_not_what_is_listed_is_refused() {
    needs_small_system!();
    let (workplace, server) = prepare();
    let metadata = fs::read_dir(SmallSystem::get().folder().join("repodata")).unwrap();
    let names = metadata.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let list = names
        .into_iter()
        .find(|name| name.contains("primary.xml"))
        .unwrap();
    server.answer(
        &format!("/repo/repodata/{list}"),
        [Answer::File(b"other".to_vec())],
    );
    assert_not_locked(
        &workplace,
        "is not the file that is listed; has the repository just changed?",
    );
    server.answer(
        "/repo/repodata/repomd.xml",
        [Answer::File(b"<html>".to_vec())],
    );
    assert_not_locked(&workplace, "/repo/repodata/repomd.xml");
}

#[test]
fn packages_that_another_key_has_signed_are_refused() {
    needs_small_system!();
    let (workplace, _server) = prepare();
    workplace.write("key.asc", &PackageSet::get().key);
    let ran = workplace.run(workplace.build_command("small.yaml"));
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    let expected = "failed: digests SIGNATURES NOT OK";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    assert!(!workplace.path("out").exists(), "nothing was exported");
}

#[test]
fn a_recipe_of_rpm_packages_is_locked_and_built() {
    needs_small_system!();
    let (workplace, server) = prepare();
    let ran = workplace.run(workplace.command(&["lock", "small.yaml", "--store", "store"]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    // With a lock, a build reads no repository.
    server.answer(
        "/repo/repodata/repomd.xml",
        [Answer::File(b"gone".to_vec())],
    );
    let ran = workplace.run(workplace.build_command("small.yaml"));
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);

    let tree = workplace.path("out/small");
    let read = |path: &str| fs::read_to_string(tree.join(path)).unwrap();
    assert_eq!(read("etc/hostname"), "small\n");
    assert_eq!(read("etc/locale.conf"), "LANG=de_DE.UTF-8\n");
    assert_eq!(
        read("etc/vconsole.conf"),
        "KEYMAP=\"de-nodeadkeys\"\nXKBVARIANT=\"nodeadkeys\"\nXKBLAYOUT=\"de\"\n"
    );
    assert!(
        fs::read_link(tree.join("etc/localtime"))
            .unwrap()
            .ends_with("Europe/Berlin")
    );
    assert_eq!(
        read("etc/sudoers.d/recipe"),
        "lena ALL=(ALL:ALL) NOPASSWD: ALL\n"
    );
    let groups = read("etc/group");
    for line in ["wheel:x:10:lena", "web:x:4000:lena"] {
        assert!(
            groups.lines().any(|found| found == line),
            "{line}\n{groups}"
        );
    }
    assert!(tree.join("var/greeting").is_dir(), "the script was run");
    assert!(!tree.join("usr/share/advertisement").exists());
    let greeting = Command::new("chroot")
        .arg(&tree)
        .arg("/usr/bin/greet")
        .output()
        .unwrap();
    assert_eq!(greeting.stdout, b"hello\n", "{greeting:?}");

    let archive = Command::new("tar")
        .arg("-df")
        .arg(workplace.path("out/small.tar.zst"))
        .arg("-C")
        .arg(&tree)
        .output()
        .unwrap();
    assert!(archive.status.success(), "{archive:?}");
    let database = RpmDatabase::new(&tree, DATABASE);
    let changed = database.verify().unwrap();
    // Accounts were added; the machine's own directories were mounted when attributes were set.
    let known = [
        "/etc/passwd",
        "/etc/group",
        "/etc/shadow",
        "/etc/gshadow",
        "/proc",
        "/sys",
    ];
    for line in changed.lines() {
        assert!(known.iter().any(|path| line.ends_with(path)), "{changed}");
    }
}

#[test]
fn the_sample_of_an_rpm_distribution_is_built() {
    needs_small_system!();
    let (workplace, server) = prepare();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/fedora.yaml");
    let sample = fs::read_to_string(sample).unwrap();
    let mirrors = sample.lines().map(|line| {
        let (key, value) = line.split_once(": ").unwrap_or((line, ""));
        match key.trim() {
            "- mirror" => format!("{key}: {}", server.url("/repo")),
            "keyring" => format!("{key}: key.asc"),
            _ if value.is_empty() => line.to_owned(),
            _ => format!("{key}: {value}"),
        }
    });
    let recipe = mirrors.collect::<Vec<String>>().join("\n");
    workplace.write("fedora.yaml", recipe);
    let ran = workplace.run(workplace.build_command("fedora.yaml"));
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    let archive = workplace.path("out/fedora-rootfs.tar.zst");
    let release = Command::new("tar")
        .args(["--zstd", "-xOf"])
        .arg(archive)
        .arg("usr/lib/os-release")
        .output()
        .unwrap();
    assert_eq!(release.stdout, b"ID=fedora\nVERSION_ID=43\n", "{release:?}");
}
