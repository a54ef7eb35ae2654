//! What recipes become.

use crate::support::{BuiltIn, NamedPackages, manifest, recipe};
use osbuild_manifest::validate::validate;
use osbuild_manifest::value::Value;
use osbuild_recipe::{Attachments, Lock, Recipe, StaleLock, compile, exports, parse, solve};

const SMALL: &str = "
distribution: debian
release: bookworm
architecture: amd64
hostname: small
packages: {include: [openssh-server]}
users: [{name: lena, sudo: without-password}]
files: [{path: /etc/motd, content: \"hello\\n\"}]
kernel: {command-line: 'console=ttyS0,115200'}
outputs: [qcow2, tar.zst]
";

#[track_caller]
fn check_valid(text: &str) {
    let value = Value::from_json(text).expect("manifests are JSON");
    let errors: Vec<String> = validate(&value, &BuiltIn)
        .iter()
        .map(|error| format!("{:?}: {}", error.path, error.message))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{text}");
}

#[test]
fn a_small_recipe_becomes_this_manifest() {
    insta::assert_snapshot!(manifest(&recipe(SMALL)));
}

#[test]
fn the_lock_of_a_small_recipe() {
    let lock = solve(&recipe(SMALL), &NamedPackages).unwrap();
    insta::assert_snapshot!(lock.to_json());
    assert_eq!(Lock::from_json(&lock.to_json()).unwrap(), lock);
}

#[test]
fn the_same_recipe_and_lock_give_the_same_bytes() {
    assert_eq!(manifest(&recipe(SMALL)), manifest(&recipe(SMALL)));
}

#[test]
fn every_kind_of_disk_and_output_validates() {
    let disks = [
        "",
        "disk: {size: 4 GiB}",
        "disk: {table: mbr, partitions: [{mountpoint: /, filesystem: btrfs}]}",
        "disk: {partitions: [{type: swap, size: 1 GiB}, {mountpoint: /boot, size: 1 GiB}, {mountpoint: /, filesystem: xfs, label: root}]}",
    ];
    let outputs =
        "[qcow2, vmdk, vdi, vhdx, raw, raw.xz, raw.zst, tar, tar.gz, tar.xz, tar.zst, directory]";
    for disk in disks {
        for firmware in ["bios", "uefi", "both", "none"] {
            for build in ["own", "host"] {
                let text = format!(
                    "distribution: debian\nrelease: trixie\narchitecture: amd64\nbuild: {build}\n\
                     boot: {{firmware: {firmware}}}\noutputs: {outputs}\n{disk}\n"
                );
                check_valid(&manifest(&recipe(&text)));
            }
        }
    }
}

#[test]
fn every_setting_validates() {
    check_valid(&manifest(&recipe(
        "
distribution: ubuntu
release: noble
architecture: amd64
hostname: full.example.org
locale: de_DE.UTF-8
timezone: Europe/Berlin
keymap: de-nodeadkeys
packages: {base: standard, include: [openssh-server, curl=8.5.0-2], exclude: [nano]}
groups: [plain, {name: numbered, gid: 4000}]
users:
  - {name: root, password: '*'}
  - name: lena
    uid: 2000
    gid: 4000
    description: Lena
    home: /srv/lena
    shell: /bin/sh
    groups: [plain]
    sudo: without-password
    ssh-keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdYCkBLQUsA/Xh3u2xV0nqvyvnyb7lVZ8kC3cyFKpJm]
services: {enable: [ssh], disable: [apt-daily.timer], mask: [getty@tty1], target: multi-user}
files:
  - {path: /etc/a, content: '', mode: 0600, owner: lena, group: 4000}
  - {path: /etc/b/c, link: ../a}
  - {path: /srv/d, directory: true, mode: 01777}
",
    )));
}

/// A recipe of RPM packages, with a key that lies beside it.
fn small_rpm(folder: &std::path::Path) -> Recipe {
    fs_err::write(
        folder.join("key.asc"),
        "-----BEGIN PGP PUBLIC KEY BLOCK-----\n",
    )
    .unwrap();
    let text = "
distribution: fedora
release: 43
architecture: amd64
hostname: small
locale: en_GB.UTF-8
timezone: Europe/Berlin
keymap: de-nodeadkeys
repositories: [{mirror: https://rpm.example.org/43, keyring: key.asc}]
packages: {include: [NetworkManager, vim=9.1-1.fc43], exclude: [nano]}
users: [{name: lena, sudo: without-password}]
outputs: [tar.zst]
";
    parse(text, &folder.join("small.yaml")).unwrap()
}

#[test]
fn a_recipe_of_rpm_packages_becomes_this_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let text = manifest(&small_rpm(folder.path()));
    check_valid(&text);
    insta::assert_snapshot!(text);
}

#[test]
fn the_lock_of_a_recipe_of_rpm_packages() {
    let folder = tempfile::tempdir().unwrap();
    let lock = solve(&small_rpm(folder.path()), &NamedPackages).unwrap();
    assert_eq!(lock.architecture, "x86_64");
    assert_eq!(Lock::from_json(&lock.to_json()).unwrap(), lock);
}

#[test]
fn keys_of_rpm_packages_must_be_readable_keys() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = small_rpm(folder.path());
    let key = folder.path().join("key.asc");
    for (content, expected) in [
        (
            Some("\u{99}\u{1}"),
            "is not a public key in ASCII armour (`gpg --armor --export` writes one)",
        ),
        (
            None,
            "No such file or directory (os error 2) (paths of `keyring` start from the recipe's folder)",
        ),
    ] {
        match content {
            Some(content) => fs_err::write(&key, content).unwrap(),
            None => fs_err::remove_file(&key).unwrap(),
        }
        let errors = Attachments::read(&recipe).unwrap_err();
        let [error] = errors.errors.as_slice() else {
            panic!("one error was expected: {errors}");
        };
        assert_eq!((error.line, error.column), (9, 16), "{error}");
        assert!(error.to_string().ends_with(expected), "{error}");
    }
}

#[test]
fn a_lock_of_other_packages_is_stale() {
    let first = recipe(SMALL);
    let lock = solve(&first, &NamedPackages).unwrap();
    assert_eq!(lock.check(&first), Ok(()));

    let other_file = recipe(&SMALL.replace("hello", "good bye"));
    assert_eq!(lock.check(&other_file), Ok(()), "files choose no packages");

    for (from, to) in [
        ("openssh-server", "curl"),
        ("[qcow2, tar.zst]", "[raw.xz]"),
        ("sudo: without-password", "sudo: false"),
        ("hostname: small", "timezone: Etc/UTC"),
    ] {
        let changed = recipe(&SMALL.replace(from, to));
        assert_eq!(lock.check(&changed), Err(StaleLock::OtherPackages), "{to}");
        let error = compile(&changed, &Attachments::default(), &lock).unwrap_err();
        assert_eq!(
            error.downcast_ref(),
            Some(&StaleLock::OtherPackages),
            "{to}"
        );
    }

    let other_release = recipe(&SMALL.replace("bookworm", "trixie"));
    assert_eq!(
        lock.check(&other_release).unwrap_err().to_string(),
        "the lock was made for debian bookworm amd64, the recipe asks for debian trixie amd64"
    );
}

#[test]
fn identifiers_differ_between_recipes_and_stay_with_one() {
    let named = |name: &str| manifest(&recipe(&format!("name: {name}\n{SMALL}")));
    let uuid = |text: &str| {
        let (_, rest) = text
            .split_once("\"root_fs_uuid\": \"")
            .expect("a boot menu");
        rest[..36].to_owned()
    };
    assert_eq!(uuid(&named("one")), uuid(&named("one")));
    assert_ne!(uuid(&named("one")), uuid(&named("two")));
}

#[test]
fn each_output_is_exported_from_its_pipeline() {
    let recipe = recipe(SMALL);
    let text = manifest(&recipe);
    let exports: Vec<(String, String)> = exports(&recipe)
        .into_iter()
        .map(|export| (export.pipeline, export.file_name))
        .collect();
    let expected = [("image", "test.qcow2"), ("archive-zst", "test.tar.zst")];
    assert_eq!(exports, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    for (pipeline, file) in expected {
        assert!(
            text.contains(&format!("\"name\": \"{pipeline}\"")),
            "{text}"
        );
        assert!(
            text.contains(&format!("\"filename\": \"{file}\"")),
            "{text}"
        );
    }
}

#[test]
fn the_host_as_build_root_needs_no_packages() {
    let recipe = recipe(&format!("{SMALL}build: host\n"));
    let lock = solve(&recipe, &NamedPackages).unwrap();
    assert_eq!(lock.packages.build, []);
    assert!(!manifest(&recipe).contains("\"build\""));
}

#[test]
fn disks_of_ubuntu_get_an_initramfs_that_their_kernel_only_recommends() {
    let text = "distribution: ubuntu\nrelease: noble\narchitecture: amd64\noutputs: [raw]\n";
    let has_one = |text: &str| {
        let lock = solve(&recipe(text), &NamedPackages).unwrap();
        let mut packages = lock.packages.system.iter();
        packages.any(|package| package.name == "initramfs-tools")
    };
    assert!(has_one(text));
    assert!(!has_one(
        &text.replace("ubuntu", "debian").replace("noble", "trixie")
    ));
    assert!(!has_one(&text.replace("[raw]", "[tar]")));
}

#[test]
fn an_own_file_replaces_an_implied_one() {
    let text = SMALL.replace("/etc/motd", "/etc/hosts");
    let text = manifest(&recipe(&text));
    assert_eq!(
        text.matches("\"path\": \"/etc/hosts\"").count(),
        1,
        "{text}"
    );
}

#[test]
fn a_missing_source_file_is_an_error_at_its_place() {
    let recipe = recipe(&format!(
        "{}files:\n  - {{path: /a, source: not-there}}\n",
        SMALL.replace("files: [{path: /etc/motd, content: \"hello\\n\"}]\n", "")
    ));
    let errors = Attachments::read(&recipe).unwrap_err();
    assert_eq!(errors.errors.len(), 1);
    assert_eq!((errors.errors[0].line, errors.errors[0].column), (11, 5));
    assert!(
        errors.errors[0].message.contains("samples/not-there"),
        "{errors}"
    );
}
