//! Makes small repositories full of conflicts, alternatives and virtual packages at random, asks apt and `solve` for
//! the same packages, and demands the same answer, or that both refuse.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of this test are test code, too"
)]

use std::{collections::BTreeSet, fmt::Write as _, path::Path, process::Command};

use osbuild_packages::deb::{
    repository::{IndexOrigin, PackageIndex},
    solve::{BaseSet, SolveRequest, solve},
    universe::Universe,
};
use osbuild_testing::needs;

const REPOSITORIES: u64 = 60;
/// Requests for each repository; making one takes longer than asking.
const REQUESTS: usize = 4;
const PACKAGES: u64 = 24;
const VIRTUAL_PACKAGES: u64 = 4;

#[test]
fn made_up_repositories_give_what_apt_picks() {
    needs![tool("apt-get"), tool("dpkg")];
    let (mut equal, mut refused, mut differences) = (0, 0, Vec::new());
    let first: u64 = std::env::var("OSBUILD_TEST_SEED").map_or(0, |seed| seed.parse().unwrap());
    for seed in first..first + REPOSITORIES {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let text = make_index(&mut random);
        let root = tempfile::tempdir().unwrap();
        publish(root.path(), &text);
        let indices = [PackageIndex {
            text,
            origin: IndexOrigin {
                pin_priority: 500,
                ..IndexOrigin::default()
            },
        }];
        let universe = Universe::read(&indices, "amd64").unwrap();
        for _ in 0..REQUESTS {
            let wanted: BTreeSet<String> = (0..3)
                .map(|_| format!("p{}", random.below(PACKAGES)))
                .collect();
            let packages: Vec<String> = wanted.into_iter().collect();
            let by_apt = ask_apt(root.path(), &packages);
            let request = SolveRequest {
                packages: packages.clone(),
                base: BaseSet::Nothing,
                pins: Vec::new(),
            };
            let by_us: Result<BTreeSet<String>, String> = solve(&universe, &request)
                .map(|pins| {
                    pins.into_iter()
                        .map(|pin| format!("{} {}", pin.name, pin.version))
                        .collect()
                })
                .map_err(|error| error.to_string());
            match (by_apt, by_us) {
                (Some(by_apt), Ok(by_us)) if by_apt == by_us => equal += 1,
                (None, Err(error)) => {
                    assert!(
                        error.contains('`'),
                        "a refusal names what is in the way: {error}"
                    );
                    refused += 1;
                }
                (by_apt, by_us) => {
                    let only = |left: &BTreeSet<String>, right: &BTreeSet<String>| -> Vec<String> {
                        left.difference(right).cloned().collect()
                    };
                    let detail = match (&by_apt, &by_us) {
                        (Some(apt), Ok(us)) => format!(
                            "only apt {:?}, only solve {:?}",
                            only(apt, us),
                            only(us, apt)
                        ),
                        _ => format!("apt {by_apt:?}\nsolve {by_us:?}"),
                    };
                    differences.push(format!("seed {seed}, {packages:?}: {detail}"));
                }
            }
        }
    }
    println!(
        "{equal} equal, {refused} refused by both, {} different",
        differences.len()
    );
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(
        equal > 0 && refused > 0,
        "the repositories exercise both outcomes"
    );
}

/// xorshift64, see Marsaglia's "Xorshift RNGs": the same repositories every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn name(&mut self) -> String {
        match self.below(10) {
            0 | 1 => format!("v{}", self.below(VIRTUAL_PACKAGES)),
            // Sometimes what is needed does not exist.
            2 if self.below(4) == 0 => "missing".to_owned(),
            _ => format!("p{}", self.below(PACKAGES)),
        }
    }

    fn relation(&mut self) -> String {
        let name = self.name();
        match self.below(8) {
            0 => format!("{name} (>= 2)"),
            1 => format!("{name} (<< 2)"),
            _ => name,
        }
    }
}

fn make_index(random: &mut Random) -> String {
    let mut text = String::new();
    let mut numbers: Vec<u64> = (0..PACKAGES).collect();
    for at in 0..numbers.len() {
        let other = random.below(PACKAGES) as usize;
        numbers.swap(at, other);
    }
    for number in numbers {
        let version = 1 + random.below(3);
        let priority =
            ["required", "important", "standard", "optional", "extra"][random.below(5) as usize];
        writeln!(
            text,
            "Package: p{number}\nVersion: {version}\nArchitecture: amd64\nPriority: {priority}"
        )
        .unwrap();
        let groups: Vec<String> = (0..random.below(3))
            .map(|_| {
                let alternatives: Vec<String> =
                    (0..=random.below(3)).map(|_| random.relation()).collect();
                alternatives.join(" | ")
            })
            .collect();
        field(
            &mut text,
            if random.below(5) == 0 {
                "Pre-Depends"
            } else {
                "Depends"
            },
            &groups,
        );
        let kind = if random.below(2) == 0 {
            "Conflicts"
        } else {
            "Breaks"
        };
        let conflicts: Vec<String> = (0..random.below(4) / 2)
            .map(|_| random.relation())
            .collect();
        field(&mut text, kind, &conflicts);
        let recommends: Vec<String> = (0..random.below(2)).map(|_| random.name()).collect();
        field(&mut text, "Recommends", &recommends);
        if random.below(3) == 0 {
            field(
                &mut text,
                "Provides",
                &[format!("v{}", random.below(VIRTUAL_PACKAGES))],
            );
        }
        writeln!(
            text,
            "Filename: ./p{number}.deb\nSize: 1\nSHA256: {number:064}\nDescription: made up\n"
        )
        .unwrap();
    }
    text
}

fn field(text: &mut String, name: &str, values: &[String]) {
    if !values.is_empty() {
        writeln!(text, "{name}: {}", values.join(", ")).unwrap();
    }
}

/// Puts the index where apt finds it without a network.
fn publish(root: &Path, text: &str) {
    for directory in [
        "repository",
        "state/lists/partial",
        "cache/archives/partial",
        "etc",
    ] {
        fs_err::create_dir_all(root.join(directory)).unwrap();
    }
    fs_err::write(root.join("repository/Packages"), text).unwrap();
    fs_err::write(root.join("status"), "").unwrap();
    let source = format!("deb [trusted=yes] file:{}/repository ./\n", root.display());
    fs_err::write(root.join("etc/sources.list"), source).unwrap();
    let output = apt_get(root).arg("update").output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Asks for addresses, not for a simulation: that would also fail where dpkg could find no order.
fn ask_apt(root: &Path, packages: &[String]) -> Option<BTreeSet<String>> {
    let output = apt_get(root)
        .args([
            "--print-uris",
            "--yes",
            "--no-install-recommends",
            "install",
        ])
        .args(packages)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    if !output.status.success() {
        let is_refusal =
            text.contains("unmet dependencies") || text.contains("no installation candidate");
        assert!(
            is_refusal,
            "{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        return None;
    }
    let chosen: BTreeSet<String> = text
        .lines()
        .filter(|line| line.starts_with('\''))
        .map(|line| {
            let file = line
                .split(' ')
                .nth(1)
                .expect("apt prints the address, the file's name and more");
            let mut parts = file.split('_');
            format!("{} {}", parts.next().unwrap(), parts.next().unwrap())
        })
        .collect();
    assert!(
        chosen.len() >= packages.len(),
        "apt printed what it chose: {text}"
    );
    Some(chosen)
}

fn apt_get(root: &Path) -> Command {
    let mut command = Command::new("apt-get");
    let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
    command
        .env("LC_ALL", "C")
        .env("APT_CONFIG", "/dev/null")
        .arg("-oAPT::Architecture=amd64")
        .arg("-oAPT::Architectures=amd64")
        .arg("-oAPT::Solver=internal")
        .arg("-oAPT::Sandbox::User=root")
        .arg("-oDebug::NoLocking=1")
        .arg(format!("-oDir::State={}", path("state")))
        .arg(format!("-oDir::State::status={}", path("status")))
        .arg(format!("-oDir::Cache={}", path("cache")))
        .arg(format!("-oDir::Etc={}", path("etc")))
        .arg("-oDir::Etc::parts=/dev/null");
    command
}
