//! What is installed, beside what `rpm --install` makes of the same packages.

use std::path::Path;
use std::process::Command;

use osbuild_testing::rpm_database::RpmDatabase;
use osbuild_testing::tree::describe;
use serde_json::{Value, json};

use crate::manifests::{Build, DATABASE, checked, output};
use crate::package_set::PackageSet;

/// Keys of the result's metadata that every package has, with rpm's tags for them, then others.
const TAGS: [(&str, &str); 11] = [
    ("name", "NAME"),
    ("version", "VERSION"),
    ("release", "RELEASE"),
    ("epoch", "EPOCH"),
    ("arch", "ARCH"),
    ("sigmd5", "SIGMD5"),
    ("sha1header", "SHA1HEADER"),
    ("sha256header", "SHA256HEADER"),
    // Known to rpm 6 only.
    ("sha3_256header", ""),
    ("sigpgp", "SIGPGP"),
    ("siggpg", "SIGGPG"),
];

/// What is in a tree, but for the database and what every build leaves: directories to mount on, and the empty file of
/// the machine's id.
fn contents(tree: &Path) -> Vec<String> {
    let ours = [
        "dev/ ",
        "proc/ ",
        "sys/ ",
        "etc/ ",
        "etc/machine-id ",
        "usr/lib/sysimage/",
    ];
    let text = describe(tree).unwrap();
    let lines = text.lines();
    let lines = lines.filter(|line| !ours.iter().any(|start| line.starts_with(start)));
    lines.map(str::to_owned).collect()
}

/// Installs packages as their reader would by hand.
fn install_by_hand(packages: &[&str], tree: &Path) {
    let set = PackageSet::get();
    let database = RpmDatabase::new(tree, DATABASE);
    let import = |key: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), key).unwrap();
        let mut rpm = database.rpm();
        run(rpm.arg("--import").arg(file.path()));
    };
    fs_err::create_dir(tree).unwrap();
    import(&set.key);
    let mut rpm = database.rpm();
    run(rpm
        .args(["--nosignature", "--install"])
        .args(packages.iter().map(|name| set.file(name))));
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

/// What the metadata has to be, by the headers of the files that were installed.
fn expected_metadata(packages: &[&str]) -> Vec<Value> {
    let members = TAGS.map(|(key, tag)| match tag {
        "" => format!("\"{key}\": null"),
        tag => format!("\"{key}\": %|{tag}?{{\"%{{{tag}}}\"}}:{{null}}|"),
    });
    let format = format!("\\{{{}\\}}\n", members.join(", "));
    let mut rpm = Command::new("rpm");
    rpm.args(["--nosignature", "-qp", "--qf", &format]);
    rpm.args(packages.iter().map(|name| PackageSet::get().file(name)));
    let mut metadata: Vec<Value> = run(&mut rpm)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    metadata.sort_by_key(|package| package["name"].as_str().unwrap().to_owned());
    metadata
}

/// Two sorted lists are the same; shows what only one of them has.
#[track_caller]
fn assert_same(built: &[String], by_hand: &[String]) {
    let without = |all: &[String], others: &[String]| -> Vec<String> {
        let only = all.iter().filter(|line| !others.contains(line));
        only.cloned().collect()
    };
    let only_built = without(built, by_hand);
    let only_by_hand = without(by_hand, built);
    assert_eq!(only_built, only_by_hand);
    assert_eq!(built.len(), by_hand.len());
}

/// Has packages installed by a build and by hand, and compares; gives the stage's output.
#[track_caller]
fn assert_as_by_hand(packages: &[&str]) -> String {
    let options = json!({"gpgkeys": [PackageSet::get().key]});
    let build = Build::of(packages, &checked(), &options);
    let (result, by_hand) = std::thread::scope(|scope| {
        let tree = build.workplace.path("by-hand");
        scope.spawn(move || install_by_hand(packages, &tree));
        (build.succeed(), build.workplace.path("by-hand"))
    });
    let built = build.workplace.path("out/tree");
    assert_same(&contents(&built), &contents(&by_hand));
    let (database, database_by_hand) = (
        RpmDatabase::new(&built, DATABASE),
        RpmDatabase::new(&by_hand, DATABASE),
    );
    assert_same(
        &database.headers().unwrap(),
        &database_by_hand.headers().unwrap(),
    );
    assert_eq!(database.verify().unwrap(), "", "rpm -Va");
    let metadata = result["metadata"]["tree"]["org.osbuild.rpm"]["packages"].clone();
    let (keys, metadata): (Vec<Value>, Vec<Value>) = metadata
        .as_array()
        .unwrap()
        .iter()
        .cloned()
        .partition(|package| package["name"] == "gpg-pubkey");
    assert_eq!(keys.len(), 1);
    assert_eq!(metadata, expected_metadata(packages));
    output(&result, "tree")
}

#[test]
fn packages_with_scripts_triggers_and_capabilities_are_installed_as_by_rpm() {
    needs_packages!();
    let output = assert_as_by_hand(&PackageSet::get().whole());
    for line in [
        "pre of scripts",
        "posttrans of scripts",
        "triggerin of scripts",
        "filetriggerin of scripts",
        "transfiletriggerin of scripts",
        "rpm unpacks the packages: `scripts` has scripts",
    ] {
        assert!(output.contains(&format!("{line}\n")), "{line}\n{output}");
    }
}

#[test]
fn packages_of_files_only_are_installed_as_by_rpm() {
    needs_packages!();
    let plain = &PackageSet::get().plain;
    let packages: Vec<&str> = plain.iter().map(String::as_str).collect();
    let output = assert_as_by_hand(&packages);
    assert!(output.contains(" --justdb "), "{output}");
}
