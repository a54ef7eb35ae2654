//! Chooses packages for four requests, once by apt itself in an empty root and once by `solve`, from the very same
//! indices, and demands that names and versions are equal.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the helpers of this test are test code, too"
)]

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Output},
};

use osbuild_packages::deb::{
    repository::{IndexOrigin, PackageIndex},
    solve::{BaseSet, SolveRequest, solve},
    universe::Universe,
};
use osbuild_testing::needs;

const DEMO: &[&str] = &[
    "systemd-sysv",
    "linux-image-cloud-amd64",
    "openssh-server",
    "grub-efi-amd64-bin",
    "grub-pc-bin",
    "grub2-common",
    "dbus",
    "locales",
    "iproute2",
    "systemd-resolved",
    "sudo",
    "ca-certificates",
    "e2fsprogs",
    "initramfs-tools",
];
const SERVER: &[&str] = &[
    "systemd-sysv",
    "linux-image-amd64",
    "openssh-server",
    "grub-efi-amd64",
    "network-manager",
    "cloud-init",
    "postgresql",
    "nginx",
];
const DESKTOP: &[&str] = &[
    "systemd-sysv",
    "linux-image-amd64",
    "grub-pc",
    "gnome-core",
    "task-xfce-desktop",
];
/// Packages whose needs are virtual or alternatives: mail transport, awk, a web server, Java, a terminal, fonts.
const ALTERNATIVES: &[&str] = &[
    "systemd-sysv",
    "mailutils",
    "bsd-mailx",
    "logwatch",
    "default-jre",
    "tomcat10",
    "xinit",
    "xterm",
    "cacti",
    "phpmyadmin",
    "wordpress",
    "roundcube",
    "texlive-latex-base",
    "build-essential",
    "cron",
    "at",
    "popularity-contest",
];

#[test]
fn a_demo_image_has_what_apt_picks() {
    compare(DEMO);
}

#[test]
fn a_server_has_what_apt_picks() {
    compare(SERVER);
}

#[test]
fn a_desktop_has_what_apt_picks() {
    compare(DESKTOP);
}

#[test]
fn alternatives_and_virtual_packages_are_what_apt_picks() {
    compare(ALTERNATIVES);
}

/// How many random requests are compared.
const RANDOM_REQUESTS: usize = 60;
/// How many packages a random request names.
const RANDOM_PACKAGES: usize = 4;

#[test]
#[ignore = "runs apt for minutes; run it by hand after changing the solver"]
fn random_requests_are_what_apt_picks() {
    needs![tool("apt-get"), tool("dpkg")];
    let (architecture, indices) = host();
    let universe = Universe::read(&indices, &architecture).unwrap();
    let mut names: Vec<&str> = universe.package_names().collect();
    names.sort_unstable();
    // A linear congruential generator (Knuth's MMIX constants): the same requests every time.
    let mut state = 42_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        names[(state >> 33) as usize % names.len()]
    };
    let mut failures = Vec::new();
    for _ in 0..RANDOM_REQUESTS {
        let packages: Vec<&str> = (0..RANDOM_PACKAGES).map(|_| next()).collect();
        if let Some(difference) = difference(&universe, &packages, &architecture) {
            println!("{packages:?}:\n{difference}");
            failures.push(packages);
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {RANDOM_REQUESTS} differ: {failures:?}",
        failures.len()
    );
}

fn compare(packages: &[&str]) {
    needs![tool("apt-get"), tool("dpkg")];
    let (architecture, indices) = host();
    let started = std::time::Instant::now();
    let universe = Universe::read(&indices, &architecture).unwrap();
    println!(
        "{} versions read in {:?}",
        universe.version_count(),
        started.elapsed()
    );
    if let Some(difference) = difference(&universe, packages, &architecture) {
        panic!("{difference}");
    }
}

fn host() -> (String, Vec<PackageIndex>) {
    let printed = run(Command::new("dpkg").arg("--print-architecture"));
    let indices = host_indices();
    assert!(
        !indices.is_empty(),
        "the host's apt has no package indices; run `apt-get update`"
    );
    (text(&printed).trim().to_owned(), indices)
}

/// What differs between apt's choice and ours; where one of the two refuses, so must the other.
fn difference(universe: &Universe<'_>, packages: &[&str], architecture: &str) -> Option<String> {
    let request = SolveRequest {
        packages: packages.iter().map(|&name| name.to_owned()).collect(),
        base: BaseSet::Apt,
        pins: Vec::new(),
    };
    let started = std::time::Instant::now();
    let ours = solve(universe, &request);
    let elapsed = started.elapsed();
    let (by_us, by_apt) = match (ours, apt_choice(packages, architecture)) {
        (Ok(pins), Ok(by_apt)) => (pins, by_apt),
        (Err(error), Err(_)) => {
            println!("both refuse: {error}");
            return None;
        }
        (Ok(_), Err(error)) => return Some(format!("only apt refuses: {error}")),
        (Err(error), Ok(_)) => return Some(format!("only solve refuses: {error}")),
    };
    println!("{} packages chosen in {elapsed:?}", by_us.len());
    assert!(
        by_us.len() > packages.len(),
        "something was chosen besides what was named"
    );
    let by_us: BTreeMap<String, String> = by_us
        .into_iter()
        .map(|pin| (pin.name, pin.version))
        .collect();
    let lines: Vec<String> = only("apt", &by_apt, &by_us)
        .chain(only("solve", &by_us, &by_apt))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn only<'a>(
    who: &'a str,
    left: &'a BTreeMap<String, String>,
    right: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = String> + 'a {
    left.iter()
        .filter(|(name, version)| right.get(*name) != Some(version))
        .map(move |(name, version)| format!("only {who}: {name} {version}"))
}

/// Asks apt what it would install into an empty root; its refusal is text.
fn apt_choice(packages: &[&str], architecture: &str) -> Result<BTreeMap<String, String>, String> {
    let root = tempfile::tempdir().unwrap();
    let status = root.path().join("status");
    fs_err::write(&status, "").unwrap();
    let output = apt_get(root.path(), architecture)
        .arg("-oDir::State::status=".to_owned() + status.to_str().unwrap())
        .args([
            "--simulate",
            "--no-install-recommends",
            "install",
            "?essential",
        ])
        .args(packages)
        .output()
        .expect("apt-get can be started");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let chosen = text(&output)
        .lines()
        .filter_map(|line| line.strip_prefix("Inst "))
        .map(|line| {
            let (name, rest) = line
                .split_once(" (")
                .expect("apt prints `Inst NAME (VERSION …)`");
            let version = rest.split(' ').next().expect("splitting gives one part");
            (name.to_owned(), version.to_owned())
        })
        .collect();
    Ok(chosen)
}

fn apt_get(root: &Path, architecture: &str) -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("LC_ALL", "C")
        .arg("-oAPT::Architectures=".to_owned() + architecture)
        .arg("-oAPT::Solver=internal")
        .arg("-oDir::State::extended_states=".to_owned() + root.join("extended").to_str().unwrap())
        .arg("-oDir::Cache::pkgcache=")
        .arg("-oDir::Cache::srcpkgcache=")
        .arg("-oDir::Etc::preferences=/dev/null")
        .arg("-oDir::Etc::preferencesparts=/dev/null")
        .arg("-oDebug::NoLocking=1");
    command
}

/// The indices that the host's apt has fetched, in its order.
fn host_indices() -> Vec<PackageIndex> {
    let format = "$(FILENAME)|$(URI)|$(REPO_URI)|$(SUITE)|$(CODENAME)|$(COMPONENT)";
    let output = run(Command::new("apt-get").args([
        "indextargets",
        "--format",
        format,
        "Identifier: Packages",
    ]));
    text(&output)
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split('|').collect();
            let [file, url, base_url, suite, codename, component] = fields[..] else {
                panic!("apt-get indextargets printed {line:?}");
            };
            let content = run(Command::new("/usr/lib/apt/apt-helper").args(["cat-file", file]));
            PackageIndex {
                text: text(&content),
                origin: IndexOrigin {
                    url: url.to_owned(),
                    base_url: base_url.to_owned(),
                    origin: String::new(),
                    suite: suite.to_owned(),
                    codename: codename.to_owned(),
                    component: component.to_owned(),
                    pin_priority: 500,
                },
            }
        })
        .collect()
}

fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("apt prints UTF-8")
}
