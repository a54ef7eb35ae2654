//! Installing made-up packages: what is refused before the tree is touched, and whole installations in which this
//! machine's own dpkg, packed up with what it needs, is the tree's.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use osbuild_packages::deb::archive::testing::PackageBuilder;
use osbuild_stage_api::testing::{Ran, StageTest};
use osbuild_testing::access_watch::AccessWatch;
use serde_json::{Value, json};

use super::STAGE;

/// Set in the process that has mounts of its own.
const INSIDE: &str = "OSBUILD_TEST_INSIDE";
/// What dpkg runs, looks for, or what these tests' scripts call.
const PROGRAMS: [&str; 15] = [
    "sh",
    "dpkg",
    "dpkg-deb",
    "dpkg-divert",
    "dpkg-query",
    "dpkg-trigger",
    "env",
    "find",
    "rm",
    "tar",
    "diff",
    "cat",
    "mv",
    "ldconfig",
    "start-stop-daemon",
];

fn test(packages: Vec<PackageBuilder>, options: Value) -> StageTest {
    let directory = tempfile::tempdir().unwrap();
    let files: Vec<(String, Vec<u8>)> = packages
        .into_iter()
        .enumerate()
        .map(|(number, package)| {
            // By checksum, as the engine does: the order says nothing.
            let path = package.write(directory.path());
            (
                format!("sha256:{:02}", 99 - number),
                fs_err::read(path).unwrap(),
            )
        })
        .collect();
    let names: serde_json::Map<String, Value> = files
        .iter()
        .map(|(name, _)| (name.clone(), json!({})))
        .collect();
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, content)| (name.as_str(), content.as_slice()))
        .collect();
    StageTest::new(&STAGE, options).input("packages", &files, json!({"files": names}))
}

#[test]
fn what_does_not_fit_is_refused_before_the_tree_is_touched() {
    let dpkg = || PackageBuilder::new("dpkg").field("Essential", "yes");
    for (packages, expected) in [
        (
            vec![
                dpkg(),
                PackageBuilder::new("a").field("Depends", "b (>= 2)"),
            ],
            "ValueError: the packages do not fit together: `a` needs `b (>= 2)`",
        ),
        (
            vec![PackageBuilder::new("a")],
            "ValueError: the packages do not include `dpkg`, which configures them",
        ),
        (vec![], "ValueError: the input `packages` has no files"),
    ] {
        let ran = test(packages, json!({})).run();
        assert_eq!(ran.error(), expected);
        assert_eq!(ran.tree, "");
    }
}

#[test]
fn a_damaged_archive_is_named() {
    let data = json!({"files": {"sha256:00": {}}});
    let ran = StageTest::new(&STAGE, json!({}))
        .input("packages", &[("sha256:00", b"<html>")], data)
        .run();
    assert_eq!(
        ran.error(),
        "ValueError: reading the package INPUTS/packages/sha256:00: not a Debian package: it is no `ar` archive"
    );
    assert_eq!(ran.tree, "");
}

#[test]
fn a_tree_that_has_packages_is_refused() {
    let dpkg = PackageBuilder::new("dpkg");
    let test = test(vec![dpkg], json!({})).file("var/lib/dpkg/status", "Package: x\n");
    assert_eq!(
        test.run().error(),
        "ValueError: the tree has packages already: one stage installs all packages of a tree"
    );
}

#[test]
fn links_of_the_tree_do_not_lead_out_of_it() {
    const DIRECTORIES: [&str; 8] = [
        "./etc",
        "./etc/x",
        "./usr",
        "./usr/share",
        "./usr/share/x",
        "./var",
        "./var/lib",
        "./var/lib/x",
    ];
    const FILES: [&str; 4] = ["./etc/x/a", "./usr/share/x/a", "./var/lib/x/a", "./a"];
    osbuild_testing::needs![root];
    let packages = || {
        let dpkg = PackageBuilder::new("dpkg").field("Essential", "yes");
        let directories = DIRECTORIES.into_iter();
        let with_directories = directories.fold(dpkg, |package, directory| {
            package.directory(directory, 0o755)
        });
        let files = FILES.into_iter();
        vec![files.fold(with_directories, |package, file| {
            package.file(file, 0o644, "new")
        })]
    };
    let skip = || json!({"scripts": "skip"});
    let clean = test(packages(), skip());
    clean.run().success();
    assert!(FILES.iter().all(|file| clean.tree().join(file).is_file()));
    let before = "a/ 0755\na/kept 0644 \"kept\"\nfile 0644 \"kept\"\n";
    for (link, target) in [
        ("etc", "a"),
        ("etc/x", "a"),
        ("etc/x/a", "file"),
        ("a", "file"),
        ("usr", "a"),
        ("usr/share", "a"),
        ("var", "a"),
        ("var/lib", "a"),
        ("var/lib/dpkg", "a"),
        ("var/lib/dpkg/info", "a"),
        ("var/lib/dpkg/status", "file"),
        ("dev", "a"),
        ("run", "a"),
    ] {
        let outside = tempfile::tempdir().unwrap();
        fs_err::create_dir(outside.path().join("a")).unwrap();
        fs_err::write(outside.path().join("a/kept"), "kept").unwrap();
        fs_err::write(outside.path().join("file"), "kept").unwrap();
        let watch = AccessWatch::new(outside.path()).unwrap();
        let test = test(packages(), skip());
        // Whether dpkg can do anything with such a tree is its business.
        test.symlink(link, outside.path().join(target).to_str().unwrap())
            .run();
        assert_eq!(watch.accessed().unwrap(), BTreeSet::new(), "through {link}");
        let after = osbuild_testing::tree::describe(outside.path()).unwrap();
        assert_eq!(after, before, "through {link}");
    }
}

/// Runs the test of this name again, as root in a mount namespace of its own; tells whether this is that run.
fn has_own_mounts(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            &format!("stages::deb::tests::{name}"),
        ])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
    false
}

/// The tree's dpkg: this machine's programs, and the libraries they name.
fn system() -> PackageBuilder {
    let find = |name: &str| osbuild_testing::needs::find_program(name).expect("Debian has it");
    let programs: Vec<_> = PROGRAMS.iter().map(|name| find(name)).collect();
    let output = Command::new("ldd").args(&programs).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let libraries: BTreeSet<&str> = text
        .split_whitespace()
        .filter(|word| word.starts_with('/') && !word.ends_with(':'))
        .collect();
    let mut package = PackageBuilder::new("dpkg").field("Essential", "yes");
    let mut directories = BTreeSet::new();
    let files = libraries
        .into_iter()
        .map(str::to_owned)
        .chain(PROGRAMS.iter().map(|name| {
            let directory = if ["ldconfig", "start-stop-daemon"].contains(name) {
                "sbin"
            } else {
                "bin"
            };
            format!("/usr/{directory}/{name}")
        }));
    let files: Vec<String> = files.collect();
    for file in &files {
        directories.extend(
            Path::new(file)
                .ancestors()
                .skip(1)
                .map(|path| format!(".{}/", path.display())),
        );
    }
    directories.remove("./");
    for name in [
        "./bin/", "./boot/", "./dev/", "./etc/", "./proc/", "./root/", "./run/", "./sys/",
        "./tmp/", "./usr/", "./var/",
    ] {
        directories.insert(name.to_owned());
    }
    directories.remove(".//");
    for directory in &directories {
        package = package.directory(directory, 0o755);
    }
    for file in &files {
        let source = Path::new(file);
        let name = source.file_name().unwrap().to_str().unwrap();
        let source = if source.exists() {
            source.to_owned()
        } else {
            find(name)
        };
        let content = fs_err::read(source).unwrap();
        package = package.member(
            &format!(".{file}"),
            tar::EntryType::Regular,
            0o755,
            "",
            &content,
        );
    }
    package
        .file("./etc/passwd", 0o644, "root:x:0:0::/root:/bin/sh\n")
        .file("./etc/group", 0o644, "root:x:0:\n")
}

/// Lets `/bin` and its kin be links, as on the machine the programs come from.
fn usr_merge() -> PackageBuilder {
    PackageBuilder::new("usr-is-merged").field("Architecture", "all")
}

fn install(packages: Vec<PackageBuilder>, options: Value) -> (StageTest, Ran) {
    let all = packages
        .into_iter()
        .chain([system(), usr_merge()])
        .collect();
    let test = test(all, options);
    let ran = test.run();
    (test, ran)
}

fn nothing_is_mounted_below(tree: &Path) {
    let mounts = fs_err::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(tree.to_str().unwrap()), "{mounts}");
}

#[test]
fn scripts_diversions_and_triggers_work_as_with_dpkg() {
    osbuild_testing::needs![root, tool("dpkg"), tool("unshare"), tool("ldd")];
    if !has_own_mounts("scripts_diversions_and_triggers_work_as_with_dpkg") {
        return;
    }
    let divert = "#!/bin/sh\nset -e\n[ \"$1 $DPKG_MAINTSCRIPT_NAME $DPKG_MAINTSCRIPT_PACKAGE\" = 'install preinst diverter' ]\n\
                  dpkg-divert --package diverter --add --rename --divert /usr/share-x.orig /usr/share-x\n";
    let configure = "#!/bin/sh\nset -e\nupdate-initramfs -c -k 1.0 -b /boot\n[ -e /boot/initrd.img-1.0 ]\n\
                     start-stop-daemon --start --exec /bin/nonexistent\n\
                     status=0; policy-rc.d x start || status=$?; [ $status = 101 ]\n";
    let packages = vec![
        PackageBuilder::new("diverter")
            .field("Depends", "owner")
            .control_file("preinst", divert)
            .file("./usr/share-x", 0o644, "the diverter's"),
        PackageBuilder::new("owner").file("./usr/share-x", 0o644, "the owner's"),
        PackageBuilder::new("initramfs-tools")
            .control_file("triggers", "interest update-initramfs\n")
            .control_file(
                "postinst",
                "#!/bin/sh\n[ \"$1\" != triggered ] || update-initramfs -u\n",
            )
            .file(
                "./usr/sbin/update-initramfs",
                0o755,
                "#!/bin/sh\necho \"$@\" >>/boot/made\n",
            ),
        PackageBuilder::new("kernel")
            .field("Depends", "initramfs-tools")
            .control_file("triggers", "activate update-initramfs\n")
            .control_file("postinst", configure),
        PackageBuilder::new("settings")
            .control_file("conffiles", "/etc/settings\n/etc/kept\n")
            .file("./etc/settings", 0o640, "package's")
            .file("./etc/kept", 0o644, "package's"),
    ];
    let all = packages
        .into_iter()
        .chain([system(), usr_merge()])
        .collect();
    let test = test(all, json!({})).file("etc/kept", "the caller's");
    let ran = test.run().success();
    let read = |path: &str| fs_err::read_to_string(test.path(path)).unwrap();
    assert_eq!(read("usr/share-x"), "the diverter's");
    assert_eq!(read("usr/share-x.orig"), "the owner's");
    assert_eq!(read("boot/made"), "-c -k 1.0 -b /boot\n");
    assert_eq!(
        (read("etc/settings"), read("etc/kept")),
        ("package's".to_owned(), "the caller's".to_owned())
    );
    assert!(!test.path("usr/sbin/policy-rc.d").exists());
    assert!(!test.path("var/lib/dpkg/tmp.ci").exists());
    assert_eq!(fs_err::read_dir(test.path("tmp")).unwrap().count(), 0);
    nothing_is_mounted_below(&test.tree());
    let root = format!("--root={}", test.tree().display());
    let audit = Command::new("dpkg")
        .args([&root, "--audit"])
        .output()
        .unwrap();
    assert_eq!(
        (audit.status.success(), audit.stdout.as_slice()),
        (true, &b""[..])
    );
    let states = Command::new("dpkg-query")
        .args([&root, "-W", "-f", "${Package} ${db:Status-Abbrev}\n"])
        .output();
    assert_eq!(
        String::from_utf8(states.unwrap().stdout).unwrap(),
        "diverter ii \ndpkg ii \ninitramfs-tools ii \nkernel ii \nowner ii \nsettings ii \nusr-is-merged ii \n"
    );
    let metadata = ran.metadata.unwrap();
    assert_eq!(
        metadata["packages"][0],
        json!({"name": "diverter", "version": "1", "architecture": "amd64"})
    );
    assert_eq!(metadata["packages"].as_array().unwrap().len(), 7);
}

#[test]
fn a_failing_script_is_told_with_package_status_and_last_lines() {
    osbuild_testing::needs![root, tool("dpkg"), tool("unshare"), tool("ldd")];
    if !has_own_mounts("a_failing_script_is_told_with_package_status_and_last_lines") {
        return;
    }
    let script = "#!/bin/sh\necho 'no such device'\nexit 3\n";
    for (name, expected) in [
        (
            "preinst",
            "ValueError: the preinst of the package `bad` failed: exit status: 3; its last lines: no such device",
        ),
        (
            "postinst",
            "ValueError: the package `bad` could not be configured: installed bad package post-installation script \
             subprocess returned error exit status 3; its last lines: Setting up bad (1) ... | no such device",
        ),
    ] {
        let (test, ran) = install(
            vec![PackageBuilder::new("bad").control_file(name, script)],
            json!({}),
        );
        assert_eq!(ran.error(), expected, "{}", ran.log);
        nothing_is_mounted_below(&test.tree());
    }
}

#[test]
fn excluded_paths_stay_out_of_the_tree() {
    osbuild_testing::needs![root, tool("dpkg"), tool("unshare"), tool("ldd")];
    if !has_own_mounts("excluded_paths_stay_out_of_the_tree") {
        return;
    }
    let package = PackageBuilder::new("documented")
        .directory("./usr/doc/", 0o755)
        .file("./usr/doc/README", 0o644, "")
        .file("./usr/doc/copyright", 0o644, "");
    let options = json!({"exclude": ["/usr/doc/*"], "include": ["*/copyright"]});
    let (test, ran) = install(vec![package], options);
    let _ran = ran.success();
    assert!(!test.path("usr/doc/README").exists());
    assert!(test.path("usr/doc/copyright").exists());
}
