//! Installing packages that are made here, with the rpm of this machine, on an empty tree.

use std::path::PathBuf;

use osbuild_stage_api::testing::{Ran, StageTest};
use osbuild_testing::private_mounts::in_private_mounts;
use osbuild_testing::rpm_database::RpmDatabase;
use osbuild_testing::rpm_repository::{Package, SigningKey, build};
use serde_json::{Value, json};

use super::STAGE;

/// Where the database is whatever the distribution.
const DATABASE: &str = "/usr/lib/sysimage/rpm";

/// Builds packages, has them signed if there is a key, and gives them to the stage; `about` is said of each.
fn stage(
    packages: &[Package],
    key: Option<&SigningKey>,
    about: &Value,
    options: &Value,
) -> StageTest {
    let directory = tempfile::tempdir().unwrap();
    let files = build(packages, directory.path()).unwrap();
    if let Some(key) = key {
        key.sign(&files).unwrap();
    }
    with_files(&files, about, options)
}

fn with_files(files: &[PathBuf], about: &Value, options: &Value) -> StageTest {
    let files: Vec<(String, Vec<u8>)> = files
        .iter()
        .enumerate()
        .map(|(number, path)| (format!("sha256:{number:02}"), fs_err::read(path).unwrap()))
        .collect();
    let names: serde_json::Map<String, Value> = files
        .iter()
        .map(|(name, _)| (name.clone(), about.clone()))
        .collect();
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, content)| (name.as_str(), content.as_slice()))
        .collect();
    let mut options = options.clone();
    options["dbpath"] = json!(DATABASE);
    StageTest::new(&STAGE, options).input("packages", &files, json!({"files": names}))
}

/// What is in the tree but for the database and the directories that every run makes.
fn tree(ran: &Ran) -> String {
    let is_ours = |line: &&str| {
        let always = ["dev/ ", "proc/ ", "sys/ ", "usr/lib/sysimage/", "var/tmp"];
        !always.iter().any(|start| line.starts_with(start))
    };
    ran.tree
        .lines()
        .filter(is_ours)
        .fold(String::new(), |all, line| all + line + "\n")
}

macro_rules! with_rpm {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            osbuild_testing::needs![root, tool("unshare"), tool("rpm"), tool("rpmbuild"), tool("rpmsign"), tool("gpg")];
            in_private_mounts(concat!("stages::rpm::tests::", stringify!($name)), bodies::$name);
        }
    )*};
}

with_rpm! {
    files_scripts_and_metadata_are_as_rpm_has_them
    what_a_package_leaves_out_on_request
    signatures_are_checked_where_asked_for
    keys_come_from_options_and_from_the_tree
    a_set_that_does_not_fit_is_refused_with_what_rpm_says
    a_damaged_package_is_named
    a_set_without_scripts_comes_out_as_rpm_unpacks_it
    what_only_rpm_does_right_is_left_to_it
    the_masks_and_marks_are_there_only_during_the_transaction
    links_of_the_tree_do_not_lead_out_of_it
}

mod bodies {
    use super::*;

    pub(super) fn files_scripts_and_metadata_are_as_rpm_has_them() {
        let packages = [
            Package::new("first")
                .line("Epoch: 3")
                .file("/usr/share/first/text", "one\n")
                .file_as("%attr(4755,root,root)", "/usr/bin/first", "program\n")
                .file_as("", "/usr/bin/link", "-> first")
                .lua("post", "", "print(\"hello\")"),
            Package::new("second")
                .line("Version: 2.5~rc1")
                .line("Requires: first")
                .entry("%dir %attr(0750,root,root) /etc/second")
                .file_as("%config(noreplace)", "/etc/second/conf", "x\n")
                .lua("triggerin", "-- first", "print(\"triggered\")"),
        ];
        let ran = stage(&packages, None, &json!({}), &json!({}))
            .run()
            .success();
        assert_eq!(
            tree(&ran),
            "etc/ 0755\netc/machine-id 0444 \"\"\netc/second/ 0750\netc/second/conf 0644 \"x\\n\"\n\
             usr/ 0755\nusr/bin/ 0755\nusr/bin/first 4755 \"program\\n\"\nusr/bin/link -> first\n\
             usr/lib/ 0755\nusr/share/ 0755\nusr/share/first/ 0755\nusr/share/first/text 0644 \"one\\n\"\n"
        );
        assert!(ran.log.contains("hello\n"), "{}", ran.log);
        assert!(ran.log.contains("triggered\n"), "{}", ran.log);
        let metadata = ran.metadata.unwrap();
        let list = metadata["packages"].as_array().unwrap();
        let brief: Vec<String> = list
            .iter()
            .map(|one| {
                let part = |key: &str| one[key].as_str().unwrap_or("null").to_owned();
                let keys = ["name", "epoch", "version", "release", "arch", "sigpgp"];
                keys.map(part).join(" ")
            })
            .collect();
        assert_eq!(
            brief,
            [
                "first 3 1 1 noarch null",
                "second null 2.5~rc1 1 noarch null"
            ]
        );
        for package in list {
            let keys: Vec<&str> = package
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            assert_eq!(
                keys.join(" "),
                "name version release epoch arch sigmd5 sha1header sha256header sha3_256header sigpgp siggpg"
            );
            assert_eq!(package["sigmd5"].as_str().unwrap().len(), 32);
            assert_eq!(package["sha256header"].as_str().unwrap().len(), 64);
        }
    }

    pub(super) fn what_a_package_leaves_out_on_request() {
        let package = || {
            Package::new("a")
                .file_as("%doc", "/usr/share/doc/a/README", "read me\n")
                .file_as("%lang(de)", "/usr/share/locale/de/a.mo", "de\n")
                .file_as("%lang(fr)", "/usr/share/locale/fr/a.mo", "fr\n")
        };
        let present = |options: &Value| {
            let ran = stage(&[package()], None, &json!({}), options)
                .run()
                .success();
            ["README", "de/a.mo", "fr/a.mo"].map(|name| ran.tree.contains(name))
        };
        assert_eq!(present(&json!({})), [true, true, true]);
        assert_eq!(
            present(&json!({"exclude": {"docs": true}})),
            [false, true, true]
        );
        assert_eq!(
            present(&json!({"install_langs": ["fr", "en_US"]})),
            [true, false, true]
        );
    }

    pub(super) fn signatures_are_checked_where_asked_for() {
        let (right, wrong) = (
            SigningKey::generate().unwrap(),
            SigningKey::generate().unwrap(),
        );
        let packages = [Package::new("a"), Package::new("b")];
        let options = json!({"gpgkeys": [right.public().unwrap()]});
        let checked = json!({"rpm.check_gpg": true});
        let ran = stage(&packages, Some(&right), &checked, &options)
            .run()
            .success();
        let metadata = ran.metadata.unwrap();
        let names: Vec<&str> = metadata["packages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["a", "b", "gpg-pubkey"]);

        let ran = stage(&packages, Some(&wrong), &checked, &options).run();
        assert_eq!(
            ran.error(),
            "CalledProcessError: the signature check of sha256:00 (a-1-1.noarch) failed: digests SIGNATURES NOT OK"
        );
        let ran = stage(&packages, None, &checked, &options).run();
        assert_eq!(
            ran.error(),
            "CalledProcessError: the signature check of sha256:00 (a-1-1.noarch) failed: it is not signed"
        );
        assert!(!ran.tree.contains("machine-id"), "{}", ran.tree);
        // Signed while the key was good, which is all that rpm asks for.
        let expired = SigningKey::generate_expired().unwrap();
        let expired_options = json!({"gpgkeys": [expired.public().unwrap()]});
        stage(&packages, Some(&expired), &checked, &expired_options)
            .run()
            .success();
        // As upstream: who does not ask for it gets packages that nobody has signed.
        stage(&packages, Some(&wrong), &json!({}), &options)
            .run()
            .success();
        stage(&packages, None, &json!({"rpm.check_gpg": false}), &options)
            .run()
            .success();
    }

    pub(super) fn keys_come_from_options_and_from_the_tree() {
        let key = SigningKey::generate().unwrap();
        let public = key.public().unwrap();
        let keys = Package::new("keys").file("/etc/pki/key", &public);
        let options = json!({"gpgkeys.fromtree": ["/etc/pki/key"]});
        let ran = stage(&[keys], None, &json!({}), &options).run().success();
        let metadata = ran.metadata.unwrap();
        assert_eq!(metadata["packages"][0]["name"], "gpg-pubkey");

        let packages = [Package::new("a")];
        let options = json!({"gpgkeys": ["no key"]});
        let ran = stage(&packages, None, &json!({}), &options).run();
        assert!(
            ran.error()
                .starts_with("CalledProcessError: Command '['rpmkeys',"),
            "{}",
            ran.error()
        );
        let options = json!({"gpgkeys": ["no key"], "rpmkeys": {"ignore_import_failures": true}});
        let ran = stage(&packages, None, &json!({}), &options).run().success();
        assert!(
            ran.log.contains("\n1 keys were not imported; going on\n"),
            "{}",
            ran.log
        );
        // A link of a package is one of the finished system.
        let link = Package::new("link").file_as("", "/etc/key", "-> /no-such-key");
        let options = json!({"gpgkeys.fromtree": ["/etc/key"]});
        let ran = stage(&[link], None, &json!({}), &options).run();
        assert!(
            ran.error().starts_with("FileNotFoundError: "),
            "{}",
            ran.error()
        );
    }

    pub(super) fn a_set_that_does_not_fit_is_refused_with_what_rpm_says() {
        for (packages, expected) in [
            (
                vec![Package::new("a").line("Requires: missing")],
                "missing is needed by a-1-1.noarch",
            ),
            (
                vec![Package::new("a").line("Conflicts: b"), Package::new("b")],
                "b conflicts with a-1-1.noarch",
            ),
            (
                vec![
                    Package::new("a").file("/x", ""),
                    Package::new("b").file_as("%attr(0600,root,root)", "/x", ""),
                ],
                "conflicts between attempted installs of",
            ),
            (
                vec![Package::new("a").lua("pre", "", "error(\"no\")")],
                "error: lua script failed: [string \"%prein(a-1-1.noarch)\"]:1: no",
            ),
        ] {
            let ran = stage(&packages, None, &json!({}), &json!({})).run();
            assert!(
                ran.error()
                    .starts_with("CalledProcessError: Command '['rpm', '--verbose',"),
                "{}",
                ran.error()
            );
            assert!(ran.log.contains(expected), "{expected}\n{}", ran.log);
        }
        let missing = [Package::new("a").line("Requires: missing")];
        stage(&missing, None, &json!({}), &json!({"nodeps": true}))
            .run()
            .success();
    }

    pub(super) fn a_damaged_package_is_named() {
        let directory = tempfile::tempdir().unwrap();
        // With a script and without: rpm unpacks the one, this stage the other.
        let scripted = Package::new("a").lua("post", "", "x = 1");
        for package in [scripted, Package::new("a")] {
            let package = package.file("/usr/share/a", &"abcdefgh".repeat(1000));
            let files = build(&[package], directory.path()).unwrap();
            let mut content = fs_err::read(&files[0]).unwrap();
            let at = content.len() - 20;
            content[at] ^= 1;
            fs_err::write(&files[0], &content).unwrap();
            let ran = with_files(&files, &json!({}), &json!({})).run();
            assert_eq!(
                ran.error(),
                "ValueError: the MD5 digest of the package INPUTS/packages/sha256:00 is wrong"
            );
            fs_err::write(&files[0], &content[..at]).unwrap();
            let ran = with_files(&files, &json!({}), &json!({})).run();
            assert!(
                ran.error().contains("INPUTS/packages/sha256:00"),
                "{}",
                ran.error()
            );
        }
        let file = directory.path().join("page");
        fs_err::write(&file, "<html>").unwrap();
        let ran = with_files(&[file], &json!({}), &json!({})).run();
        assert_eq!(
            ran.error(),
            "ValueError: reading the package INPUTS/packages/sha256:00: it is no RPM package"
        );
    }

    /// Everything that a set may have and still be unpacked here.
    fn plain_set() -> Vec<Package> {
        let big = "many bytes\n".repeat(30_000);
        vec![
            Package::new("base")
                .entry("%dir /usr")
                .entry("%dir /usr/share")
                .entry("%dir %attr(0700,mail,mail) /var/mail")
                .entry("%ghost /var/ghost")
                .file("/var/ghost", "")
                .file("/usr/share/big", &big),
            Package::new("names")
                .line("Requires: base")
                .entry("%dir /usr/share")
                .entry("%dir /usr/share/names/empty")
                .file_as(
                    "%attr(2755,mail,mail)",
                    "/usr/share/names/one",
                    "many names\n",
                )
                .file_as(
                    "%attr(2755,mail,mail)",
                    "/usr/share/names/two",
                    "= /usr/share/names/one",
                )
                .file_as(
                    "%attr(2755,mail,mail)",
                    "/usr/bin/three",
                    "= /usr/share/names/one",
                )
                .file_as("", "/usr/bin/link", "-> ../share/names/one"),
            Package::new("conf")
                .file_as(
                    "%config(noreplace) %attr(4711,root,mail)",
                    "/etc/conf.d/conf",
                    "",
                )
                .file_as("%doc", "/usr/share/doc/conf/readme", "read me\n"),
        ]
    }

    const ACCOUNTS: [(&str, &str); 2] = [
        ("etc/passwd", "root:x:0:0::/:\nmail:x:8:12::/:\n"),
        ("etc/group", "root:x:0:\nmail:x:12:\n"),
    ];

    pub(super) fn a_set_without_scripts_comes_out_as_rpm_unpacks_it() {
        let directory = tempfile::tempdir().unwrap();
        let files = build(&plain_set(), directory.path()).unwrap();
        let with_accounts = |test: StageTest| {
            ACCOUNTS
                .into_iter()
                .fold(test, |test, (path, text)| test.file(path, text))
        };
        let here = with_accounts(with_files(&files, &json!({}), &json!({})));
        let ran = here.run().success();
        assert!(ran.log.contains(" --justdb "), "{}", ran.log);
        assert!(
            ran.tree.contains("usr/bin/three 2755 8:12 "),
            "{}",
            ran.tree
        );
        let numbers = |path: &str| {
            let meta = fs_err::metadata(here.path(path)).unwrap();
            std::os::unix::fs::MetadataExt::ino(&meta)
        };
        assert_eq!(numbers("usr/bin/three"), numbers("usr/share/names/two"));

        // An option that changes nothing for this set, but has rpm unpack it.
        let options = json!({"install_langs": ["en_US"]});
        let there = with_accounts(with_files(&files, &json!({}), &options));
        let by_rpm = there.run().success();
        assert!(
            by_rpm
                .log
                .contains("\nrpm unpacks the packages: files are left out\n")
        );
        let without_database = |tree: &str| -> Vec<String> {
            let lines = tree.lines().filter(|line| !line.contains("sysimage/rpm/"));
            lines.map(str::to_owned).collect()
        };
        assert_eq!(without_database(&ran.tree), without_database(&by_rpm.tree));
        assert_eq!(ran.metadata, by_rpm.metadata);
        let headers = |test: &StageTest| database(test).headers().unwrap();
        assert_eq!(headers(&here), headers(&there));
        assert_eq!(times(&here), times(&there));
        for test in [&here, &there] {
            assert_eq!(database(test).verify().unwrap(), "", "rpm -Va");
        }
    }

    fn database(test: &StageTest) -> RpmDatabase {
        RpmDatabase::new(&test.tree(), DATABASE)
    }

    /// The times of what packages brought; those of directories are of the last entry that was made in them.
    fn times(test: &StageTest) -> Vec<(String, i64)> {
        let names = database(test).query("[%{FILENAMES}\n]").unwrap();
        let mut times = Vec::new();
        for name in names.iter().filter(|name| !name.contains("ghost")) {
            let meta = fs_err::symlink_metadata(test.path(name)).unwrap();
            let is_empty = || fs_err::read_dir(test.path(name)).unwrap().count() == 0;
            if !meta.is_dir() || is_empty() {
                times.push((name.clone(), std::os::unix::fs::MetadataExt::mtime(&meta)));
            }
        }
        times.sort();
        times
    }

    pub(super) fn what_only_rpm_does_right_is_left_to_it() {
        let plain = || Package::new("a").file("/usr/a", "");
        let script = || plain().lua("posttrans", "", "x = 1");
        let trigger = || plain().lua("filetriggerin", "-- /usr", "x = 1");
        let private = || Package::new("b").entry("%dir %attr(0700,root,root) /usr/x");
        let public = || plain().entry("%dir %attr(0755,root,root) /usr/x");
        let same = || Package::new("b").file("/usr/a", "");
        for (packages, expected) in [
            (vec![script()], "`a` has scripts"),
            (vec![trigger()], "`a` has scripts"),
            (vec![plain(), same()], "`/usr/a` is in several packages"),
            (vec![plain().line("Obsoletes: b")], "`a` obsoletes others"),
            (vec![plain().line("Provides: user(x)")], "`a` makes users"),
            (
                vec![plain().file_as("%attr(0644,nobody,root)", "/usr/b", "")],
                "`a` has files of unknown users",
            ),
            (
                vec![plain().file_as("%caps(cap_net_raw=ep)", "/usr/ping", "")],
                "`/usr/ping` of `a` has capabilities",
            ),
            (
                vec![plain().file("/etc/passwd", "")],
                "`/etc/passwd` of `a` decides who owns files",
            ),
            (
                vec![plain().entry("%dir /proc/x")],
                "`/proc/x` of `a` is in a file system of the kernel",
            ),
        ] {
            let ran = stage(&packages, None, &json!({}), &json!({})).run();
            let line = format!("\nrpm unpacks the packages: {expected}\n");
            assert!(ran.log.contains(&line), "{expected}\n{}", ran.log);
            assert!(!ran.log.contains("--justdb"), "{}", ran.log);
        }
        // rpm says that directories may differ, and goes by the last.
        stage(&[public(), private()], None, &json!({}), &json!({})).run();

        // Built apart, or the one would be a file of the other's root.
        let link = [plain().file_as("", "/usr/lib64", "-> lib")];
        let through = [Package::new("b").file("/usr/lib64/b", "")];
        let directory = tempfile::tempdir().unwrap();
        let files = [&link, &through].map(|package| build(package, directory.path()).unwrap());
        let ran = with_files(&files.concat(), &json!({}), &json!({})).run();
        let expected = "`/usr/lib64` is a link or a file, and a directory elsewhere";
        assert!(ran.log.contains(expected), "{}", ran.log);

        let test = || stage(&[plain()], None, &json!({}), &json!({}));
        let ran = test().file("usr/a", "there before").run();
        assert!(
            ran.log.contains("the tree has `/usr/a` already"),
            "{}",
            ran.log
        );
        let twice = test();
        twice.run().success();
        let ran = twice.run();
        assert!(
            ran.log.contains("the tree has `/usr/a` already"),
            "{}",
            ran.log
        );
    }

    pub(super) fn links_of_the_tree_do_not_lead_out_of_it() {
        let package = Package::new("a").file("/etc/x/a", "");
        let outside = tempfile::tempdir().unwrap();
        let target = outside.path().to_str().unwrap();
        for (link, expected) in [
            (
                "usr",
                "ValueError: /usr/lib/sysimage/rpm is outside the tree",
            ),
            (
                "usr/lib/sysimage",
                "ValueError: /usr/lib/sysimage/rpm is outside the tree",
            ),
        ] {
            let test = stage(std::slice::from_ref(&package), None, &json!({}), &json!({}));
            let test = if link == "usr" {
                test
            } else {
                test.directory("usr/lib")
            };
            assert_eq!(test.symlink(link, target).run().error(), expected);
        }
        let file = "usr/lib/sysimage/rpm/rpmdb.sqlite";
        let test = stage(std::slice::from_ref(&package), None, &json!({}), &json!({}))
            .directory("usr/lib/sysimage/rpm");
        fs_err::write(outside.path().join("database"), "").unwrap();
        let ran = test.symlink(file, &format!("{target}/database")).run();
        assert_eq!(
            ran.error(),
            format!("ValueError: /{file} is a link out of the tree")
        );
        fs_err::remove_file(outside.path().join("database")).unwrap();
        for link in ["etc", "etc/x", "dev", "etc/machine-id", "var", "var/lib"] {
            let test = stage(
                std::slice::from_ref(&package),
                None,
                &json!({}),
                &json!({"disable_dracut": true}),
            );
            let parent = link.rsplit_once('/').map(|(parent, _)| parent);
            let test = parent.into_iter().fold(test, StageTest::directory);
            // Whether rpm can do anything with such a tree is its business.
            test.symlink(link, target).run();
        }
        assert_eq!(fs_err::read_dir(outside.path()).unwrap().count(), 0);
    }

    pub(super) fn the_masks_and_marks_are_there_only_during_the_transaction() {
        let script = r#"
            for _, path in ipairs({"/run/ostree-booted", "/etc/kernel/install.d/50-dracut.install",
                                   "/etc/machine-id", "/dev/null", "/proc/self"}) do
                print(path .. " " .. tostring(posix.access(path, "r") ~= nil))
            end
            print("BOOT_ROOT " .. tostring(os.getenv("BOOT_ROOT")) .. " " .. tostring(os.getenv("X")))
            posix.mkdir("/var") posix.mkdir("/var/lib") posix.mkdir("/var/lib/systemd")
            io.open("/var/lib/systemd/random-seed", "w"):close()"#;
        let packages = [Package::new("a").lua("post", "", script)];
        let options = json!({"ostree_booted": true, "disable_dracut": true,
            "kernel_install_env": {"boot_root": "/efi"}, "generic_env": {"X": "y"}});
        let ran = stage(&packages, None, &json!({}), &options).run().success();
        for line in [
            "/run/ostree-booted true",
            "/etc/kernel/install.d/50-dracut.install true",
            "/etc/machine-id true",
            "/dev/null true",
            "/proc/self true",
            "BOOT_ROOT /efi y",
        ] {
            assert!(
                ran.log.contains(&format!("{line}\n")),
                "{line}\n{}",
                ran.log
            );
        }
        assert_eq!(
            tree(&ran),
            "etc/ 0755\netc/kernel/ 0755\netc/kernel/install.d/ 0755\netc/machine-id 0444 \"\"\n\
             run/ 0755\nusr/ 0755\nusr/lib/ 0755\nvar/ 0755\nvar/lib/ 0755\nvar/lib/systemd/ 0755\n"
        );
    }
}

#[test]
fn a_variable_may_be_given_only_once() {
    let options = json!({
        "generic_env": {"BOOT_ROOT": "/a", "MACHINE_ID": "b"},
        "kernel_install_env": {"boot_root": "/c", "machine_id": "d"},
    });
    let data = json!({"files": {}});
    let ran = StageTest::new(&STAGE, options)
        .input("packages", &[], data)
        .run();
    assert_eq!(
        ran.error(),
        "ValueError: given by `generic_env` and by `kernel_install_env`: BOOT_ROOT, MACHINE_ID"
    );
    assert_eq!(ran.tree, "");
}
