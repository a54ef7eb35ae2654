//! Choices among a few packages, each written as `NAME VERSION` and lines of what it has.

use super::*;
use crate::rpm::dependency::{Capability, Requirement};

/// Makes packages of texts such as `a 1-1; requires b >= 2; provides c`.
fn universe(packages: &[&str]) -> Universe {
    Universe::new(packages.iter().map(|text| package(text)).collect())
}

fn package(text: &str) -> Available {
    let mut lines = text.split("; ");
    let (name, version) = lines.next().unwrap().split_once(' ').unwrap();
    let mut package = Available {
        name: name.to_owned(),
        evr: Evr::parse(version),
        architecture: "noarch".to_owned(),
        ..Available::default()
    };
    package.provides.push(Capability::exact(name, &package.evr));
    for line in lines {
        let (kind, what) = line.split_once(' ').unwrap();
        let requirement = || Requirement::parse(what).unwrap();
        match kind {
            "requires" => package.requires.push(requirement()),
            "conflicts" => package.conflicts.push(requirement()),
            "recommends" => package.weak.push(requirement()),
            "provides" => package.provides.push(Capability::parse(what).unwrap()),
            "obsoletes" => package.obsoletes.push(Capability::parse(what).unwrap()),
            "file" => package.files.push(what.to_owned()),
            other => panic!("{other}"),
        }
    }
    package
}

fn request(include: &[&str], exclude: &[&str]) -> SolveRequest {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    SolveRequest {
        include: owned(include),
        exclude: owned(exclude),
    }
}

#[track_caller]
fn chosen(universe: &Universe, include: &[&str], exclude: &[&str]) -> String {
    let packages = solve(universe, &request(include, exclude)).unwrap();
    let names = packages
        .iter()
        .map(|package| format!("{}-{}", package.name, package.evr));
    names.collect::<Vec<String>>().join(" ")
}

#[track_caller]
fn refused(universe: &Universe, include: &[&str], exclude: &[&str]) -> String {
    solve(universe, &request(include, exclude))
        .unwrap_err()
        .to_string()
}

#[test]
fn the_newest_of_what_is_needed_is_chosen() {
    let universe = universe(&[
        "a 1-1; requires b >= 1; requires /usr/bin/c; recommends d",
        "b 1-1",
        "b 1-2",
        "b 1~rc-3",
        "c 1-1; file /usr/bin/c",
        "d 1-1",
    ]);
    assert_eq!(chosen(&universe, &["a"], &[]), "a-1-1 b-1-2 c-1-1");
    assert_eq!(chosen(&universe, &["b=1-1", "a"], &[]), "a-1-1 b-1-1 c-1-1");
    assert_eq!(chosen(&universe, &["b=1~rc"], &[]), "b-1~rc-3");
}

#[test]
fn of_several_providers_the_best_is_chosen() {
    let universe = universe(&[
        "plain 1-1; requires x",
        "named 1-1; requires provider",
        "weak 1-1; requires x; recommends x-longest",
        "x-longest 1-1; provides x",
        "x-long 1-1; provides x",
        "x-also 1-1; provides x",
        "p 1-1; provides provider",
        "provider 1-1",
    ]);
    assert_eq!(chosen(&universe, &["plain"], &[]), "plain-1-1 x-also-1-1");
    assert_eq!(
        chosen(&universe, &["plain"], &["x-also"]),
        "plain-1-1 x-long-1-1"
    );
    assert_eq!(chosen(&universe, &["weak"], &[]), "weak-1-1 x-longest-1-1");
    assert_eq!(
        chosen(&universe, &["plain", "x-long"], &[]),
        "plain-1-1 x-long-1-1"
    );
    assert_eq!(chosen(&universe, &["named"], &[]), "named-1-1 p-1-1");
}

#[test]
fn what_leads_to_a_dead_end_is_not_chosen() {
    let universe = universe(&[
        "a 1-1; requires x",
        "x1 1-1; provides x; requires missing",
        "x22 1-1; provides x; requires y",
        "x333 1-1; provides x",
        "y 1-1; conflicts z",
        "z 1-1",
        "b 2-1; requires missing",
        "b 1-1",
        "new 1-1; obsoletes z-older < 2",
        "z-older 1-1; provides x",
        "z-older 2-1",
    ]);
    assert_eq!(chosen(&universe, &["a"], &[]), "a-1-1 x22-1-1 y-1-1");
    assert_eq!(chosen(&universe, &["a", "z"], &[]), "a-1-1 x333-1-1 z-1-1");
    assert_eq!(
        chosen(&universe, &["z", "a"], &["x333"]),
        "a-1-1 z-1-1 z-older-1-1"
    );
    assert_eq!(chosen(&universe, &["b"], &[]), "b-1-1");
    assert_eq!(
        chosen(&universe, &["new", "z-older"], &[]),
        "new-1-1 z-older-2-1"
    );
    assert_eq!(
        refused(&universe, &["new", "z-older=1"], &[]),
        "the packages cannot be installed together:\n  \
         `z-older=1` is asked for, but `z-older` cannot be installed beside `new`"
    );
}

#[test]
fn rich_dependencies_are_obeyed() {
    let universe = universe(&[
        "if 1-1; requires (b if c else d)",
        "or 1-1; requires (missing or b)",
        "and 1-1; requires (b and c)",
        "with 1-1; requires (x >= 1 with y)",
        "without 1-1; requires (x without y)",
        "unless 1-1; requires (b unless c)",
        "late 1-1; requires c",
        "foe 1-1; conflicts (b and c)",
        "friend 1-1; conflicts (b unless c)",
        "b 1-1",
        "c 1-1",
        "d 1-1",
        "both 1-1; provides x = 2; provides y",
        "one 1-1; provides x = 2",
    ]);
    for (include, expected) in [
        // That `c` is there is as good as `d`, and the first by name.
        (&["if"][..], "b-1-1 c-1-1 if-1-1"),
        (&["if", "c"], "b-1-1 c-1-1 if-1-1"),
        (&["if", "late"], "b-1-1 c-1-1 if-1-1 late-1-1"),
        (&["or"], "b-1-1 or-1-1"),
        (&["and"], "and-1-1 b-1-1 c-1-1"),
        (&["with"], "both-1-1 with-1-1"),
        (&["without"], "one-1-1 without-1-1"),
        (&["unless"], "b-1-1 unless-1-1"),
        (&["c", "unless"], "c-1-1 unless-1-1"),
        (&["foe", "b"], "b-1-1 foe-1-1"),
        (&["friend", "b"], "b-1-1 c-1-1 friend-1-1"),
    ] {
        assert_eq!(chosen(&universe, include, &[]), expected, "{include:?}");
    }
    let error = refused(&universe, &["foe", "b", "c"], &[]);
    assert!(error.ends_with("`foe` conflicts with `b and c`"), "{error}");
}

#[test]
fn what_cannot_be_had_is_said() {
    let universe = universe(&[
        "a 1-1; requires b",
        "b 1-1; requires c >= 2",
        "c 1-1",
        "d 1-1; conflicts c",
    ]);
    assert_eq!(
        refused(&universe, &["a"], &[]),
        "the packages cannot be installed together:\n  \
         `a` needs `b`\n  `b` needs `c >= 2`, which no package provides"
    );
    assert_eq!(
        refused(&universe, &["c", "d"], &[]),
        "the packages cannot be installed together:\n  \
         `d` is asked for, but `d` cannot be installed beside `c`"
    );
    assert_eq!(
        refused(&universe, &["a"], &["b"]),
        "the packages cannot be installed together:\n  \
         `a` needs `b`, which only packages that are left out provide"
    );
    assert_eq!(
        refused(&universe, &["e"], &[]),
        "no repository has a package `e`"
    );
    assert_eq!(
        refused(&universe, &["c=3"], &[]),
        "package `c` has no version `3`; available: 1-1"
    );
}
