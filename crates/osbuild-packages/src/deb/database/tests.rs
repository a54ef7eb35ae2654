//! Sets of small packages, and what dpkg itself writes for the same ones.

use std::collections::BTreeMap;
use std::path::Path;

use super::package_set::{Batch, PackageSet};
use super::*;
use crate::deb::archive::testing::PackageBuilder;
use crate::deb::control::stanzas;
use crate::deb::unpack::{Accounts, Conffiles, Job, PathFilter, Unpacker};

fn dpkg() -> PackageBuilder {
    PackageBuilder::new("dpkg").field("Essential", "yes")
}

fn set(packages: Vec<PackageBuilder>) -> Result<PackageSet> {
    let directory = tempfile::tempdir().unwrap();
    let archives = packages
        .into_iter()
        .map(|package| Archive::open(&package.write(directory.path())))
        .collect::<Result<_>>()?;
    PackageSet::new(archives)
}

fn names(set: &PackageSet, indices: impl IntoIterator<Item = usize>) -> Vec<String> {
    indices
        .into_iter()
        .map(|index| set.archives()[index].package().to_owned())
        .collect()
}

#[test]
fn every_unmet_dependency_and_conflict_is_told() {
    let packages = vec![
        dpkg(),
        PackageBuilder::new("a").field("Depends", "b (>= 2) | c, dpkg, missing (<< 1) | gone"),
        PackageBuilder::new("b")
            .field("Provides", "mail")
            .field("Conflicts", "mail"),
        PackageBuilder::new("d")
            .field("Breaks", "b (<< 2)")
            .field("Pre-Depends", "mail (= 1), mail"),
    ];
    let error = set(packages).unwrap().check().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the packages do not fit together: `a` needs `b (>= 2) | c`; `a` needs `missing (<< 1) | gone`; \
         `d` needs `mail (= 1)`; `d` can not be together with `b`"
    );
}

#[test]
fn provides_architectures_and_versions_meet_dependencies() {
    let packages = vec![
        dpkg(),
        PackageBuilder::new("a").field("Depends", "virtual (>= 1.5), tool:any, foreign, all"),
        PackageBuilder::new("b").field("Provides", "virtual (= 2)"),
        PackageBuilder::new("tool")
            .field("Multi-Arch", "allowed")
            .field("Architecture", "i386"),
        PackageBuilder::new("foreign")
            .field("Multi-Arch", "foreign")
            .field("Architecture", "i386"),
        PackageBuilder::new("all").field("Architecture", "all"),
    ];
    set(packages).unwrap().check().unwrap();
    let wrong = vec![
        dpkg(),
        PackageBuilder::new("a").field("Depends", "library"),
        PackageBuilder::new("library")
            .field("Architecture", "i386")
            .field("Multi-Arch", "same"),
    ];
    let error = set(wrong).unwrap().check().unwrap_err();
    assert!(
        error.to_string().ends_with("`a` needs `library`"),
        "{error}"
    );
}

#[test]
fn a_set_without_dpkg_or_with_a_package_twice_is_refused() {
    let error = set(vec![PackageBuilder::new("a")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the packages do not include `dpkg`, which configures them"
    );
    let directory = tempfile::tempdir().unwrap();
    let path = dpkg().write(directory.path());
    let twice = [&path, &path].map(|path| Archive::open(path).unwrap());
    let error = PackageSet::new(twice.into()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the package `dpkg` is there twice: "),
        "{error}"
    );
}

#[test]
fn packages_come_after_what_they_need() {
    let packages = vec![
        dpkg().field("Pre-Depends", "libc"),
        PackageBuilder::new("libc").field("Depends", "z-data"),
        PackageBuilder::new("z-data"),
        PackageBuilder::new("base-passwd").field("Essential", "yes"),
        // They need each other, which happens.
        PackageBuilder::new("one").field("Depends", "two"),
        PackageBuilder::new("two").field("Depends", "one"),
    ];
    let set = set(packages).unwrap();
    assert_eq!(
        names(&set, set.order().iter().copied()),
        ["base-passwd", "z-data", "libc", "dpkg", "two", "one"]
    );
    assert_eq!(
        names(&set, set.essential().unwrap()),
        ["base-passwd", "dpkg", "libc", "z-data"]
    );
}

#[test]
fn a_package_waits_for_its_pre_dependencies() {
    let script = "#!/bin/sh\n";
    let packages = vec![
        dpkg(),
        PackageBuilder::new("adder"),
        PackageBuilder::new("ready")
            .field("Pre-Depends", "dpkg")
            .control_file("preinst", script),
        PackageBuilder::new("waits")
            .field("Pre-Depends", "adder")
            .control_file("preinst", script),
    ];
    let set = set(packages).unwrap();
    let batches = set.batches(&set.essential().unwrap()).unwrap();
    let [first, second] = &batches[..] else {
        panic!("{batches:?}")
    };
    assert_eq!(names(&set, first.unpack.clone()), ["adder", "ready"]);
    assert_eq!(names(&set, first.configure.clone()), ["adder"]);
    assert_eq!(names(&set, second.unpack.clone()), ["waits"]);
    assert_eq!(
        second,
        &Batch {
            unpack: second.unpack.clone(),
            configure: BTreeSet::new()
        }
    );
}

#[test]
fn pre_dependencies_in_a_circle_are_an_error() {
    let one = |name, other| {
        PackageBuilder::new(name)
            .field("Pre-Depends", other)
            .control_file("preinst", "#!/bin/sh\n")
    };
    let set = set(vec![dpkg(), one("a", "b"), one("b", "a")]).unwrap();
    let error = set.batches(&set.essential().unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "these packages pre-depend on each other: a, b"
    );
}

/// Packages that have everything the database tells about.
fn varied(directory: &Path) -> Vec<Archive> {
    let packages = [
        dpkg()
            .directory("./usr/", 0o755)
            .file("./usr/dpkg", 0o755, "x"),
        PackageBuilder::new("library")
            .field("Multi-Arch", "same")
            .control_file("triggers", "activate-noawait ldconfig\n")
            .control_file("shlibs", "libx 1 library\n"),
        PackageBuilder::new("tool")
            .field("Architecture", "all")
            .field("Description", "first line\n second line\n .\n third")
            .field("Installed-Size", "12")
            .control_file("conffiles", "/etc/tool.conf\n")
            .control_file("md5sums", "d41d8cd98f00b204e9800998ecf8427e  usr/tool\n")
            .control_file(
                "triggers",
                "interest /usr/share/tool\ninterest-noawait ldconfig\n",
            )
            .control_file("postinst", "#!/bin/sh\nexit 0\n")
            .directory("./etc/", 0o755)
            .file("./etc/tool.conf", 0o644, "setting")
            .directory("./usr/", 0o755)
            .file("./usr/tool", 0o755, ""),
    ];
    packages
        .into_iter()
        .map(|package| Archive::open(&package.write(directory)).unwrap())
        .collect()
}

fn write_database(tree: &Path, archives: &[Archive]) {
    let precedence = |_, _| crate::deb::unpack::Precedence::Shared;
    let unpacker = Unpacker::new(
        tree,
        TopLevel::AsShipped,
        PathFilter::default(),
        &precedence,
    )
    .unwrap();
    let jobs = archives
        .iter()
        .enumerate()
        .map(|(rank, archive)| Job {
            archive,
            rank,
            decoded: None,
        })
        .collect();
    let (accounts, diversions) = (Accounts::default(), diversions::Diversions::default());
    let unpacked = unpacker
        .unpack(jobs, Conffiles::Aside, &accounts, &diversions)
        .unwrap();
    let architectures = archives.iter().map(Archive::architecture).collect();
    let mut database = Database::create(tree, "amd64", &architectures).unwrap();
    let packages: Vec<_> = archives.iter().zip(&unpacked).collect();
    database.add(&packages, &|_| false).unwrap();
}

/// What a database says: its files, and its status by package and field.
fn describe(tree: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for directory in ["info", "triggers"] {
        for entry in fs_err::read_dir(tree.join(DIRECTORY).join(directory)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{directory}/{}", entry.file_name().display());
            // A lock, and a journal that dpkg keeps even when it is empty.
            if !["triggers/Lock", "triggers/Unincorp"].contains(&name.as_str()) {
                let content = fs_err::read_to_string(entry.path()).unwrap();
                let mut lines: Vec<&str> = content.lines().collect();
                if name == "triggers/File" {
                    lines.sort_unstable();
                }
                found.insert(name, lines.join("\n"));
            }
        }
    }
    let status = fs_err::read_to_string(tree.join(DIRECTORY).join("status")).unwrap();
    for stanza in stanzas(&status) {
        let package = stanza.get("Package").unwrap();
        for (name, value) in stanza.fields() {
            found.insert(format!("status {package} {name}"), value.to_owned());
        }
    }
    found
}

#[test]
fn dpkg_writes_the_same_database() {
    osbuild_testing::needs![root, tool("dpkg")];
    let directory = tempfile::tempdir().unwrap();
    let archives = varied(directory.path());
    let (ours, theirs) = (
        directory.path().join("ours"),
        directory.path().join("theirs"),
    );
    fs_err::create_dir(&ours).unwrap();
    write_database(&ours, &archives);
    // As debootstrap prepares a tree for dpkg.
    for name in DIRECTORIES {
        fs_err::create_dir_all(theirs.join(DIRECTORY).join(name)).unwrap();
    }
    fs_err::write(theirs.join(DIRECTORY).join("status"), "").unwrap();
    let unpack = std::process::Command::new("dpkg")
        .arg(format!("--root={}", theirs.display()))
        .args(["--force-all", "--unpack"])
        .args(archives.iter().map(Archive::path))
        .output()
        .unwrap();
    assert!(
        unpack.status.success(),
        "{}",
        String::from_utf8_lossy(&unpack.stderr)
    );
    let (ours, theirs) = (describe(&ours), describe(&theirs));
    assert_eq!(ours, theirs);
}

#[test]
fn dpkg_finds_nothing_wrong_with_the_database() {
    osbuild_testing::needs![root, tool("dpkg")];
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("tree");
    fs_err::create_dir(&tree).unwrap();
    write_database(&tree, &varied(directory.path()));
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new("dpkg");
        let output = command
            .arg(format!("--root={}", tree.display()))
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["--force-script-chrootless", "--configure", "-a"]);
    assert_eq!(
        (run(&["--audit"]), run(&["--verify"])),
        (String::new(), String::new())
    );
    assert_eq!(
        fs_err::read_to_string(tree.join("etc/tool.conf")).unwrap(),
        "setting"
    );
    let status = fs_err::read_to_string(tree.join(DIRECTORY).join("status")).unwrap();
    let states: Vec<_> = stanzas(&status)
        .map(|stanza| stanza.get("Status").unwrap().to_owned())
        .collect();
    assert_eq!(states, ["install ok installed"; 3]);
}

#[test]
fn configured_packages_hear_of_what_a_later_batch_activates() {
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("tree");
    fs_err::create_dir(&tree).unwrap();
    let write = |package: PackageBuilder| Archive::open(&package.write(directory.path())).unwrap();
    let first = write(PackageBuilder::new("first").control_file(
        "triggers",
        "interest-noawait ldconfig\ninterest /usr/share/man\ninterest unused\n",
    ));
    let second = write(
        PackageBuilder::new("second").control_file("triggers", "activate-noawait ldconfig\n"),
    );
    let mut database = Database::create(&tree, "amd64", &BTreeSet::new()).unwrap();
    database
        .add(&[(&first, &Unpacked::default())], &|_| false)
        .unwrap();
    let unpacked = Unpacked {
        list: vec![b"/usr/share/man/man1".to_vec()],
        ..Unpacked::default()
    };
    database
        .add(&[(&second, &unpacked)], &|name| name == "first")
        .unwrap();
    let triggers = tree.join(DIRECTORY).join("triggers");
    let read = |name: &str| fs_err::read_to_string(triggers.join(name)).unwrap();
    assert_eq!(read("Unincorp"), "/usr/share/man second\nldconfig -\n");
    assert_eq!(read("File"), "/usr/share/man first\n");
    assert_eq!(read("ldconfig"), "first/noawait\n");
}

#[test]
fn the_database_does_not_follow_links_out_of_the_tree() {
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("tree");
    let outside = directory.path().join("outside");
    fs_err::create_dir_all(tree.join("var/lib")).unwrap();
    fs_err::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, tree.join("var/lib/dpkg")).unwrap();
    Database::create(&tree, "amd64", &BTreeSet::new()).unwrap_err();
    assert_eq!(fs_err::read_dir(&outside).unwrap().count(), 0);
}
