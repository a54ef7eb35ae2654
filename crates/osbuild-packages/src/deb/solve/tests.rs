use std::fmt::Write as _;

use super::*;
use crate::deb::repository::{IndexOrigin, PackageIndex};

/// Makes an index: each package is `NAME VERSION`, then further fields, one per line.
fn index(packages: &[&str]) -> PackageIndex {
    let mut text = String::new();
    for package in packages {
        let (head, fields) = package.split_once('\n').unwrap_or((package, ""));
        let (name, version) = head.split_once(' ').unwrap_or((head, "1"));
        let hash = "0".repeat(64);
        write!(
            text,
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: pool/{name}_{version}.deb\nSize: 7\n\
             SHA256: {hash}\n{fields}\n\n"
        )
        .unwrap();
    }
    let origin = IndexOrigin {
        url: "http://mirror.invalid/debian/dists/stable/main/binary-amd64/Packages".to_owned(),
        base_url: "http://mirror.invalid/debian/".to_owned(),
        origin: "Debian".to_owned(),
        suite: "stable".to_owned(),
        codename: "trixie".to_owned(),
        component: "main".to_owned(),
        pin_priority: 500,
    };
    PackageIndex { text, origin }
}

fn request(packages: &[&str]) -> SolveRequest {
    SolveRequest {
        packages: packages.iter().map(|&name| name.to_owned()).collect(),
        base: BaseSet::Nothing,
        pins: Vec::new(),
    }
}

fn choose_from(indices: &[PackageIndex], request: &SolveRequest) -> Result<Vec<String>, String> {
    let universe = Universe::read(indices, "amd64").unwrap();
    match solve(&universe, request) {
        Ok(pins) => Ok(pins
            .into_iter()
            .map(|pin| format!("{} {}", pin.name, pin.version))
            .collect()),
        Err(error) => Err(error.to_string()),
    }
}

fn choose(packages: &[&str], wanted: &[&str]) -> Vec<String> {
    choose_from(&[index(packages)], &request(wanted)).unwrap_or_else(|error| panic!("{error}"))
}

fn refuse(packages: &[&str], wanted: &[&str]) -> String {
    choose_from(&[index(packages)], &request(wanted)).unwrap_err()
}

#[test]
fn takes_what_is_needed_and_nothing_that_is_only_recommended() {
    let packages = [
        "a\nDepends: b\nRecommends: d\nSuggests: d",
        "b\nPre-Depends: c",
        "c\nDepends: a",
        "d",
    ];
    assert_eq!(choose(&packages, &["a"]), ["a 1", "b 1", "c 1"]);
}

#[test]
fn takes_the_first_alternative() {
    let packages = ["a\nDepends: c | b", "b\nPriority: required", "c"];
    assert_eq!(choose(&packages, &["a"]), ["a 1", "c 1"]);
}

#[test]
fn keeps_an_alternative_that_is_there_already() {
    let packages = ["a\nDepends: c | b", "b", "c"];
    assert_eq!(choose(&packages, &["b", "a"]), ["a 1", "b 1"]);
}

#[test]
fn takes_the_provider_of_the_best_priority() {
    let packages = [
        "a\nDepends: awk",
        "gawk\nProvides: awk\nPriority: optional",
        "mawk\nProvides: awk\nPriority: required",
    ];
    assert_eq!(choose(&packages, &["a"]), ["a 1", "mawk 1"]);
}

#[test]
fn takes_the_package_of_that_name_before_any_provider() {
    let packages = [
        "a\nDepends: b",
        "b\nPriority: optional",
        "c\nProvides: b\nPriority: required",
    ];
    assert_eq!(choose(&packages, &["a"]), ["a 1", "b 1"]);
}

#[test]
fn takes_the_provider_whose_name_was_met_last() {
    let packages = ["a\nDepends: v", "x\nProvides: v", "y\nProvides: v"];
    assert_eq!(choose(&packages, &["a"]), ["a 1", "y 1"]);
    // A name counts as met when any dependency mentions it, even one that installs nothing.
    let packages = [
        "a\nDepends: v\nSuggests: y",
        "x\nProvides: v",
        "y\nProvides: v",
    ];
    assert_eq!(choose(&packages, &["a"]), ["a 1", "x 1"]);
}

#[test]
fn a_provided_version_must_fit() {
    let packages = [
        "a\nDepends: v (>= 2)",
        "x\nProvides: v",
        "y\nProvides: v (= 1)",
        "z\nProvides: v (= 2)\nPriority: extra",
    ];
    assert_eq!(choose(&packages, &["a"]), ["a 1", "z 1"]);
}

#[test]
fn any_and_native_and_architecture_qualifiers_are_understood() {
    let packages = [
        "a\nDepends: python:any, gcc:native, libc:amd64",
        "python 3\nMulti-Arch: allowed",
        "gcc",
        "libc\nMulti-Arch: same",
    ];
    assert_eq!(
        choose(&packages, &["a"]),
        ["a 1", "gcc 1", "libc 1", "python 3"]
    );
    let error = refuse(&["a\nDepends: python:any", "python"], &["a"]);
    assert_eq!(
        error,
        "the packages cannot be installed together:\n  `a` 1 depends on `python:any`, but no repository has `python:any`"
    );
}

#[test]
fn takes_another_alternative_where_the_first_is_in_conflict() {
    let packages = ["a\nDepends: b | c", "b\nConflicts: d", "c", "d"];
    assert_eq!(choose(&packages, &["a", "d"]), ["a 1", "c 1", "d 1"]);
    let packages = ["a\nDepends: b | c", "b", "c", "d\nBreaks: b (<< 2)"];
    assert_eq!(choose(&packages, &["a", "d"]), ["a 1", "c 1", "d 1"]);
}

#[test]
fn a_package_may_conflict_with_what_it_provides_itself() {
    let packages = ["a\nProvides: mta\nConflicts: mta"];
    assert_eq!(choose(&packages, &["a"]), ["a 1"]);
}

#[test]
fn drops_what_a_dead_end_left_behind() {
    // `b` needs `left` before it turns out that `gone` does not exist further down.
    let packages = [
        "a\nDepends: b | c",
        "b\nDepends: left, deep",
        "left",
        "deep\nDepends: deeper",
        "deeper\nDepends: gone",
        "c",
    ];
    assert_eq!(choose(&packages, &["a"]), ["a 1", "c 1"]);
}

#[test]
fn takes_the_newest_version_and_obeys_pins() {
    let mut old = index(&["a 1", "b 1"]);
    let new = index(&["a 2", "b 2"]);
    let choose = |indices: &[PackageIndex], pins: Vec<Pin>| {
        choose_from(
            indices,
            &SolveRequest {
                pins,
                ..request(&["a", "b"])
            },
        )
    };
    assert_eq!(
        choose(&[old.clone(), new.clone()], vec![]).unwrap(),
        ["a 2", "b 2"]
    );
    let pin = |package: &str, target, priority| Pin {
        package: package.to_owned(),
        target,
        priority,
    };
    let version = pin("a", PinTarget::Version("1*".into()), 1001);
    assert_eq!(
        choose(&[old.clone(), new.clone()], vec![version]).unwrap(),
        ["a 1", "b 2"]
    );
    old.origin.suite = "experimental".into();
    old.origin.codename = "rc-buggy".into();
    let release = pin("*", PinTarget::Release("experimental".into()), 900);
    assert_eq!(
        choose(&[new.clone(), old.clone()], vec![release]).unwrap(),
        ["a 1", "b 1"]
    );
    let forbidden = pin("a", PinTarget::Site("mirror.invalid".into()), -1);
    assert_eq!(
        choose(&[new, old], vec![forbidden]).unwrap_err(),
        "every version of package `a` is forbidden by a pin with a negative priority"
    );
}

#[test]
fn a_repository_that_is_not_automatic_gives_only_what_others_lack() {
    let mut backports = index(&["a 2", "only 1"]);
    backports.origin.pin_priority = 100;
    let indices = [index(&["a 1"]), backports];
    assert_eq!(
        choose_from(&indices, &request(&["a", "only"])).unwrap(),
        ["a 1", "only 1"]
    );
    assert_eq!(
        choose_from(&indices, &request(&["a=2", "a:amd64"])).unwrap(),
        ["a 2"]
    );
}

#[test]
fn essential_packages_cannot_be_left_out() {
    let indices = [index(&["bash\nEssential: yes", "o"])];
    let without_bash = |base| {
        let pins = vec![Pin {
            package: "bash".to_owned(),
            target: PinTarget::Version("*".to_owned()),
            priority: -1,
        }];
        let request = SolveRequest {
            base,
            pins,
            ..request(&["o"])
        };
        choose_from(&indices, &request)
    };
    assert_eq!(
        without_bash(BaseSet::Essential).unwrap_err(),
        "package `bash` is essential and cannot be left out"
    );
    assert_eq!(without_bash(BaseSet::Nothing).unwrap(), ["o 1"]);
}

#[test]
fn base_sets_grow() {
    let packages = [
        "apt\nPriority: important",
        "bash\nEssential: yes\nPriority: required",
        "r\nPriority: required",
        "i\nPriority: important",
        "s\nPriority: standard",
        "o\nPriority: optional",
    ];
    let indices = [index(&packages)];
    for (base, expected) in [
        (BaseSet::Nothing, "o 1"),
        (BaseSet::Essential, "bash 1, o 1"),
        (BaseSet::Apt, "apt 1, bash 1, o 1"),
        (BaseSet::Minbase, "apt 1, bash 1, o 1, r 1"),
        (BaseSet::Important, "apt 1, bash 1, i 1, o 1, r 1"),
        (BaseSet::Standard, "apt 1, bash 1, i 1, o 1, r 1, s 1"),
    ] {
        let chosen = choose_from(
            &indices,
            &SolveRequest {
                base,
                ..request(&["o"])
            },
        )
        .unwrap();
        assert_eq!(chosen.join(", "), expected, "{base:?}");
    }
}

#[test]
fn a_pin_says_where_the_archive_is_and_what_it_is() {
    let fields = "a 1:2-3\nSource: src (4)\nSection: admin\nPriority: important\nEssential: yes\nInstalled-Size: 12";
    let indices = [index(&[fields])];
    let universe = Universe::read(&indices, "amd64").unwrap();
    assert_eq!(
        solve(&universe, &request(&["a"])).unwrap(),
        vec![PackagePin {
            name: "a".into(),
            version: "1:2-3".into(),
            architecture: "amd64".into(),
            url: "http://mirror.invalid/debian/pool/a_1:2-3.deb".into(),
            sha256: "0".repeat(64),
            size: 7,
            source: "src".into(),
            section: "admin".into(),
            priority: "important".into(),
            essential: true,
            installed_size: 12,
        }]
    );
}

#[test]
fn an_unknown_package_gives_near_names() {
    let packages = ["openssh-server", "openssh-client", "nginx"];
    assert_eq!(
        refuse(&packages, &["opnessh-server"]),
        "no repository has a package `opnessh-server`; near names: `openssh-server`"
    );
    assert_eq!(
        refuse(&packages, &["zzz"]),
        "no repository has a package `zzz`"
    );
    assert_eq!(
        refuse(&packages, &[&"x".repeat(10_000)]),
        format!("no repository has a package `{}`", "x".repeat(10_000))
    );
}

#[test]
fn a_virtual_package_is_taken_from_its_only_provider() {
    assert_eq!(choose(&["a\nProvides: v"], &["v"]), ["a 1"]);
    assert_eq!(
        refuse(&["a\nProvides: v", "b\nProvides: v"], &["v"]),
        "`v` is a virtual package; name one of its providers: a, b"
    );
}

#[test]
fn an_unknown_version_gives_those_that_exist() {
    assert_eq!(
        refuse(&["a 1"], &["a=3"]),
        "package `a` has no version `3`; available: 1"
    );
}

#[test]
fn what_is_missing_is_told_as_a_chain() {
    let packages = ["a\nDepends: b", "b\nDepends: c (>= 2) | d", "c 1"];
    assert_eq!(
        refuse(&packages, &["a"]),
        "the packages cannot be installed together:\n  \
         `a` 1 depends on `b`\n    \
         `b` 1 depends on `c` (>= 2) or `d`, but the repositories only have `c` 1, and no repository has `d`"
    );
}

#[test]
fn a_conflict_is_told_with_who_wanted_it() {
    let packages = ["a\nDepends: b", "b\nConflicts: e", "d\nDepends: e", "e"];
    assert_eq!(
        refuse(&packages, &["a", "d"]),
        "the packages cannot be installed together:\n  \
         `d` 1 depends on `e`\n    \
         `b` 1 conflicts with `e` 1; `a` needs `b`"
    );
    assert_eq!(
        refuse(&["a\nConflicts: b", "b"], &["a", "b"]),
        "the packages cannot be installed together:\n  `a` 1 conflicts with `b` 1; `b` was asked for"
    );
}

#[test]
fn an_entry_that_cannot_be_fetched_is_an_error() {
    let mut index = index(&["a"]);
    index.text = index.text.replace("SHA256", "MD5sum");
    assert_eq!(
        choose_from(&[index], &request(&["a"])).unwrap_err(),
        "package `a` 1 cannot be fetched: its index entry has no `SHA256`"
    );
}

#[test]
fn a_broken_stanza_names_its_package_and_index() {
    let indices = [index(&["a\nDepends: b (>= "])];
    let error = Universe::read(&indices, "amd64").unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        format!(
            "reading the package index {}: reading a 1: expected a version in parentheses in \"b (>=\"",
            indices[0].origin.url
        )
    );
}

#[test]
fn a_long_chain_does_not_end_the_stack() {
    let mut packages: Vec<String> = (0..2500)
        .map(|at| format!("p{at}\nDepends: p{}", at + 1))
        .collect();
    packages.push("p2500".to_owned());
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    assert_eq!(choose(&packages, &["p0"]).len(), 2501);
}
