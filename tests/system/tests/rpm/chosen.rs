//! Which packages are chosen, beside dnf.

use std::path::Path;
use std::process::Command;

use fs_err as fs;
use osbuild_packages::deb::download::FetchDownload;
use osbuild_packages::rpm::repository::{LoadOptions, Repository};
use osbuild_packages::rpm::solve::{SolveRequest, Universe, solve};
use osbuild_testing::needs;
use osbuild_testing::rpm_repository::{Package, build, create_repository};

/// Packages, with lines of their preambles.
const PACKAGES: [(&str, &[&str]); 33] = [
    ("plain", &["Requires: x"]),
    ("weak", &["Requires: x", "Recommends: x-longest"]),
    ("suggesting", &["Requires: x", "Suggests: x-longest"]),
    ("x-longest", &["Provides: x"]),
    ("x-long", &["Provides: x"]),
    ("x-also", &["Provides: x"]),
    ("picky", &["Requires: x", "Conflicts: x-also"]),
    ("named", &["Requires: real"]),
    ("real", &[]),
    ("a-real", &["Provides: real"]),
    ("versioned", &["Requires: v >= 2"]),
    ("v-one", &["Provides: v = 1"]),
    ("v-other", &["Provides: v = 1:0.1"]),
    ("file", &["Requires: /usr/bin/tool"]),
    ("tool", &[]),
    ("dead-end", &["Requires: d"]),
    ("d-a", &["Provides: d", "Requires: missing"]),
    ("d-long", &["Provides: d", "Requires: leaf"]),
    ("leaf", &[]),
    ("other-leaf", &[]),
    ("if", &["Requires: (leaf if other-leaf)"]),
    ("if-else", &["Requires: (leaf if real else other-leaf)"]),
    ("or", &["Requires: (missing or leaf)"]),
    ("and", &["Requires: (leaf and other-leaf)"]),
    ("with", &["Requires: (v >= 2 with w)"]),
    ("v-and-w", &["Provides: v = 3", "Provides: w"]),
    ("without", &["Requires: (v >= 2 without w)"]),
    ("foe", &["Conflicts: (leaf and other-leaf)"]),
    ("friend", &["Conflicts: (leaf unless real)"]),
    ("obsoleting", &["Obsoletes: leaf < 2", "Provides: leaf = 2"]),
    ("loop", &["Requires: pool"]),
    ("pool", &["Requires: loop"]),
    ("hopeless", &["Requires: missing"]),
];

const REQUESTS: [&[&str]; 26] = [
    &["plain"],
    &["weak"],
    &["suggesting"],
    &["plain", "x-longest"],
    &["picky"],
    &["named"],
    &["versioned"],
    &["file"],
    &["dead-end"],
    &["if"],
    &["if", "other-leaf"],
    &["if-else"],
    &["if-else", "real"],
    &["or"],
    &["and"],
    &["with"],
    &["without"],
    &["foe", "or"],
    &["foe", "and"],
    &["friend", "or"],
    &["friend", "or", "real"],
    &["loop"],
    &["or", "obsoleting"],
    &["hopeless"],
    &["picky", "x-also"],
    &["unknown"],
];

fn make(folder: &Path) {
    let packages = PACKAGES.map(|(name, lines)| {
        let package = lines
            .iter()
            .fold(Package::new(name), |package, line| package.line(line));
        match name {
            "tool" => package.file("/usr/bin/tool", "x\n"),
            _ => package,
        }
    });
    build(&packages, folder).unwrap();
    create_repository(folder).unwrap();
}

/// What dnf would install; none if it refuses.
fn by_dnf(folder: &Path, include: &[&str]) -> Option<Vec<String>> {
    let work = tempfile::tempdir().unwrap();
    let chosen = work.path().join("chosen");
    let setting = |name: &str, value: &str| format!("--setopt={name}={value}");
    let work = work.path().display();
    let output = Command::new("dnf")
        .args([
            "install",
            "--assumeyes",
            "--downloadonly",
            "--nogpgcheck",
            "--releasever=1",
        ])
        .arg(format!("--installroot={work}/root"))
        .arg(format!("--repofrompath=local,file://{}", folder.display()))
        .arg(format!("--downloaddir={}", chosen.display()))
        .args([
            "--disableplugin=*".to_owned(),
            setting("reposdir", "/nonexistent"),
            setting("cachedir", &format!("{work}/cache")),
            setting("install_weak_deps", "False"),
        ])
        .args(include)
        .output()
        .unwrap();
    if !output.status.success() {
        return None;
    }
    let mut names: Vec<String> = fs::read_dir(chosen)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    Some(names)
}

#[test]
fn the_packages_are_those_that_dnf_chooses() {
    needs![tool("rpmbuild"), tool("createrepo_c"), tool("dnf")];
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    let cache = tempfile::tempdir().unwrap();
    let options = LoadOptions {
        download: &FetchDownload::default(),
        cache: cache.path(),
        architecture: std::env::consts::ARCH,
    };
    let address = format!("file://{}", folder.path().display());
    let repository = Repository::load(&address, &options).unwrap();
    assert_eq!(repository.packages.len(), PACKAGES.len());
    let universe = Universe::new(repository.packages);
    let by_us = |include: &[&str]| {
        let include = include.iter().map(|name| (*name).to_owned()).collect();
        let request = SolveRequest {
            include,
            ..SolveRequest::default()
        };
        let packages = solve(&universe, &request).ok()?;
        Some(
            packages
                .iter()
                .map(|package| package.name.clone())
                .collect::<Vec<_>>(),
        )
    };
    let by_dnf: Vec<Option<Vec<String>>> = std::thread::scope(|scope| {
        let halves = REQUESTS.chunks(REQUESTS.len() / 2).map(|requests| {
            let folder = folder.path();
            scope.spawn(move || requests.iter().map(|request| by_dnf(folder, request)))
        });
        let halves: Vec<_> = halves.collect();
        halves
            .into_iter()
            .flat_map(|half| half.join().unwrap().collect::<Vec<_>>())
            .collect()
    });
    let ours: Vec<_> = REQUESTS
        .iter()
        .map(|request| (request, by_us(request)))
        .collect();
    let theirs: Vec<_> = REQUESTS.iter().zip(by_dnf).collect();
    assert_eq!(ours, theirs);
}
