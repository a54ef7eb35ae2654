//! Unpacking small packages into an empty tree.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::*;
use crate::deb::archive::testing::{MODIFIED, PackageBuilder};

/// A tree, and what is beside it, which nothing may touch.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["tree", "outside"] {
            fs_err::create_dir(directory.path().join(name)).unwrap();
        }
        Self { directory }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn tree(&self, path: &str) -> PathBuf {
        self.path("tree").join(path)
    }

    fn read(&self, path: &str) -> String {
        fs_err::read_to_string(self.tree(path)).unwrap()
    }

    fn archive(&self, package: PackageBuilder) -> Archive {
        Archive::open(&package.write(self.directory.path())).unwrap()
    }

    /// Unpacks packages as one batch, ranked as they are given.
    fn unpack(&self, packages: Vec<PackageBuilder>, setup: Setup) -> Result<Vec<Unpacked>> {
        let archives: Vec<Archive> = packages.into_iter().map(|one| self.archive(one)).collect();
        let precedence = |_, _| setup.precedence.clone();
        let filter = PathFilter::new(setup.exclude, setup.include);
        let unpacker = Unpacker::new(&self.path("tree"), setup.top_level, filter, &precedence)?;
        let jobs = archives
            .iter()
            .enumerate()
            .map(|(rank, archive)| Job {
                archive,
                rank,
                decoded: None,
            })
            .collect();
        let diversions = Diversions::read(&self.path("tree"))?;
        let accounts = Accounts::read(&self.path("tree"))?;
        let mut unpacked = unpacker.unpack(jobs, setup.conffiles, &accounts, &diversions)?;
        for (rank, one) in unpacked.iter_mut().enumerate() {
            unpacker.remove_lost(rank, &mut one.list);
        }
        Ok(unpacked)
    }

    fn error(&self, package: PackageBuilder) -> String {
        format!(
            "{:#}",
            self.unpack(vec![package], Setup::default()).unwrap_err()
        )
    }
}

struct Setup {
    precedence: Precedence,
    exclude: Vec<String>,
    include: Vec<String>,
    top_level: TopLevel,
    conffiles: Conffiles,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            precedence: Precedence::Conflict("later".to_owned(), "earlier".to_owned()),
            exclude: Vec::new(),
            include: Vec::new(),
            top_level: TopLevel::AsShipped,
            conffiles: Conffiles::Aside,
        }
    }
}

fn list(unpacked: &Unpacked) -> Vec<String> {
    unpacked
        .list
        .iter()
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .collect()
}

#[test]
fn files_links_modes_and_times_come_out_as_packed() {
    osbuild_testing::needs![root];
    let place = Place::new();
    let package = PackageBuilder::new("all")
        .directory("./d/", 0o2750)
        .directory("./d/empty/", 0o1777)
        .file("./d/f", 0o4755, "content")
        .hard_link("./d/g", "./d/f")
        .symlink("./d/s", "nowhere")
        .member("./d/null", tar::EntryType::Char, 0o666, "", b"")
        .member("./d/fifo", tar::EntryType::Fifo, 0o600, "", b"");
    let unpacked = place.unpack(vec![package], Setup::default()).unwrap();
    assert_eq!(
        list(&unpacked[0]),
        [
            "/.", "/d", "/d/empty", "/d/f", "/d/g", "/d/s", "/d/null", "/d/fifo"
        ]
    );
    for (path, mode) in [
        ("d", 0o042_750),
        ("d/empty", 0o041_777),
        ("d/f", 0o104_755),
        ("d/s", 0o120_777),
        ("d/null", 0o020_666),
        ("d/fifo", 0o010_600),
    ] {
        let found = fs_err::symlink_metadata(place.tree(path)).unwrap();
        assert_eq!(found.mode(), mode, "mode of {path}");
        assert_eq!((found.uid(), found.gid()), (0, 0), "owner of {path}");
        // A directory that something was put into has the time of that.
        let is_as_packed = found.mtime() == MODIFIED as i64;
        assert_eq!(is_as_packed, path != "d", "time of {path}");
    }
    assert_eq!(fs_err::metadata(place.tree("d/f")).unwrap().nlink(), 2);
    assert_eq!(place.read("d/g"), "content");
    let device = fs_err::metadata(place.tree("d/null")).unwrap().rdev();
    assert_eq!(device, rustix::fs::makedev(1, 3));
    assert_eq!(
        unpacked[0].md5sums.as_deref(),
        Some("9a0364b9e99bb480dd25e1f0284c8555  d/f\n")
    );
}

#[test]
fn extended_attributes_come_out_as_packed() {
    osbuild_testing::needs![root];
    let place = Place::new();
    let package = PackageBuilder::new("x")
        .attribute("trusted.test", b"value")
        .file("./f", 0o644, "");
    place.unpack(vec![package], Setup::default()).unwrap();
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(place.tree("f"), "trusted.test", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"value");
}

#[test]
fn owners_are_looked_up_in_the_tree() {
    let place = Place::new();
    fs_err::create_dir(place.tree("etc")).unwrap();
    fs_err::write(
        place.tree("etc/passwd"),
        "root:x:0:0::/:/bin/sh\nman:x:6:12::/:/bin/sh\nbad\n",
    )
    .unwrap();
    let accounts = Accounts::read(&place.path("tree")).unwrap();
    assert_eq!(accounts.user(Some(b"man"), 1000), 6);
    assert_eq!(accounts.user(Some(b"unknown"), 1000), 1000);
    assert_eq!(accounts.user(None, 7), 7);
    assert_eq!(accounts.group(Some(b"man"), 12), 12);
}

#[test]
fn nothing_is_written_outside_of_the_tree() {
    let hostile = [
        (
            PackageBuilder::new("bad").file("./../outside/x", 0o644, "bad"),
            "the member `./../outside/x` leads out of the tree",
        ),
        (
            PackageBuilder::new("bad").hard_link("./x", "../outside/victim"),
            "the member `../outside/victim` leads out of the tree",
        ),
    ];
    for (package, expected) in hostile {
        let place = Place::new();
        fs_err::write(place.path("outside/victim"), "untouched").unwrap();
        let error = place.error(package);
        assert!(
            error.starts_with(&format!(
                "unpacking the package {}",
                place.path("bad.deb").display()
            )),
            "{error}"
        );
        assert!(error.ends_with(expected), "{error}");
        assert_eq!(fs_err::read_dir(place.path("outside")).unwrap().count(), 1);
    }
}

#[test]
fn links_of_a_package_lead_nowhere_but_into_the_tree() {
    let place = Place::new();
    let outside = place.path("outside").display().to_string();
    let relative = "../../../../../../../../../../../../outside";
    for (name, target) in [("absolute", outside.as_str()), ("relative", relative)] {
        let package = PackageBuilder::new(name)
            .symlink(&format!("./{name}"), target)
            .file(&format!("./{name}/x"), 0o644, "bad");
        let error = place.error(package);
        assert!(
            error.ends_with("No such file or directory (os error 2)"),
            "{error}"
        );
    }
    // The place inside the tree that the link means.
    fs_err::create_dir(place.tree("inside")).unwrap();
    let package = PackageBuilder::new("good")
        .symlink("./link", "/inside")
        .file("./link/x", 0o644, "good");
    place.unpack(vec![package], Setup::default()).unwrap();
    assert_eq!(place.read("inside/x"), "good");
    // A file that is a link already is replaced, not followed.
    fs_err::write(place.path("outside/victim"), "untouched").unwrap();
    std::os::unix::fs::symlink(place.path("outside/victim"), place.tree("victim")).unwrap();
    let package = PackageBuilder::new("over").file("./victim", 0o644, "mine");
    place.unpack(vec![package], Setup::default()).unwrap();
    assert_eq!(place.read("victim"), "mine");
    assert_eq!(
        fs_err::read_to_string(place.path("outside/victim")).unwrap(),
        "untouched"
    );
    assert_eq!(fs_err::read_dir(place.path("outside")).unwrap().count(), 1);
}

#[test]
fn a_damaged_archive_is_an_error_that_names_it() {
    let place = Place::new();
    let numbers = (0..200_000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_string());
    let content: String = numbers.collect();
    let package = PackageBuilder::new("damaged")
        .file("./f", 0o644, &content)
        .compression(".xz");
    let path = package.write(&place.path(""));
    let mut bytes = fs_err::read(&path).unwrap();
    let middle = bytes.len() * 2 / 3;
    bytes[middle] ^= 0xff;
    fs_err::write(&path, bytes).unwrap();
    let archive = Archive::open(&path).unwrap();
    let precedence = |_, _| Precedence::Shared;
    let unpacker = Unpacker::new(
        &place.path("tree"),
        TopLevel::AsShipped,
        PathFilter::default(),
        &precedence,
    )
    .unwrap();
    let job = Job {
        archive: &archive,
        rank: 0,
        decoded: None,
    };
    let result = unpacker.unpack(
        vec![job],
        Conffiles::Aside,
        &Accounts::default(),
        &Diversions::default(),
    );
    let error = format!("{:#}", result.unwrap_err());
    assert!(
        error.starts_with(&format!("unpacking the package {}: ", path.display())),
        "{error}"
    );
    assert!(error.contains("the archive is damaged"), "{error}");
}

#[test]
fn two_packages_with_one_path_are_an_error() {
    let place = Place::new();
    let package = |name| PackageBuilder::new(name).file("./f", 0o644, name);
    let result = place.unpack(vec![package("a"), package("b")], Setup::default());
    let error = format!("{:#}", result.unwrap_err());
    assert!(
        error.ends_with("trying to overwrite `/f`, which is in the package earlier and in later"),
        "{error}"
    );
}

#[test]
fn the_package_that_replaces_has_the_file_whoever_comes_first() {
    // Often enough that either thread is first some time.
    for round in 0..20 {
        for (precedence, winner) in [(Precedence::Later, "b"), (Precedence::Earlier, "a")] {
            let place = Place::new();
            let package = |name: &str| {
                PackageBuilder::new(name).file("./f", 0o644, name).file(
                    &format!("./{name}"),
                    0o644,
                    name,
                )
            };
            let setup = Setup {
                precedence,
                ..Setup::default()
            };
            let unpacked = place
                .unpack(vec![package("a"), package("b")], setup)
                .unwrap();
            assert_eq!(place.read("f"), winner, "round {round}");
            let has_f: Vec<bool> = unpacked
                .iter()
                .map(|one| list(one).contains(&"/f".to_owned()))
                .collect();
            assert_eq!(has_f, [winner == "a", winner == "b"]);
        }
    }
}

#[test]
fn a_shared_directory_looks_as_the_first_package_wants() {
    osbuild_testing::needs![root];
    for _ in 0..20 {
        let place = Place::new();
        let package = |name, mode| PackageBuilder::new(name).directory("./d/", mode);
        place
            .unpack(
                vec![package("a", 0o700), package("b", 0o755)],
                Setup::default(),
            )
            .unwrap();
        assert_eq!(fs_err::metadata(place.tree("d")).unwrap().mode(), 0o040_700);
    }
    // One that was there before keeps its own.
    let place = Place::new();
    fs_err::create_dir(place.tree("d")).unwrap();
    let package = PackageBuilder::new("a").directory("./d/", 0o700);
    place.unpack(vec![package], Setup::default()).unwrap();
    assert_eq!(fs_err::metadata(place.tree("d")).unwrap().mode(), 0o040_755);
}

#[test]
fn configuration_files_wait_unless_the_tree_is_new() {
    let package = || {
        PackageBuilder::new("conf")
            .control_file("conffiles", "/etc/a\n/etc/b\nremove-on-upgrade /etc/old\n")
            .directory("./etc/", 0o755)
            .file("./etc/a", 0o644, "package's")
            .file("./etc/b", 0o644, "package's")
    };
    let digest = Some("50a046035125bc6f617ea28ef234cd36".to_owned());
    for (conffiles, expected, files) in [
        (
            Conffiles::Aside,
            [None, None],
            ["etc/a.dpkg-new", "etc/b.dpkg-new"],
        ),
        (
            Conffiles::InPlace,
            [None, Some(())],
            ["etc/a.dpkg-new", "etc/b"],
        ),
    ] {
        let place = Place::new();
        fs_err::create_dir(place.tree("etc")).unwrap();
        fs_err::write(place.tree("etc/a"), "the caller's").unwrap();
        let unpacked = place
            .unpack(
                vec![package()],
                Setup {
                    conffiles,
                    ..Setup::default()
                },
            )
            .unwrap();
        let found: Vec<bool> = unpacked[0]
            .conffiles
            .values()
            .map(Option::is_some)
            .collect();
        assert_eq!(found, expected.map(|one| one.is_some()));
        assert_eq!(files.map(|file| place.read(file)), ["package's"; 2]);
        assert_eq!(place.read("etc/a"), "the caller's");
        if conffiles == Conffiles::InPlace {
            assert_eq!(unpacked[0].conffiles[&b"/etc/b"[..]], digest);
        }
    }
}

#[test]
fn what_is_excluded_is_listed_and_not_written() {
    let place = Place::new();
    let package = PackageBuilder::new("doc")
        .directory("./doc/", 0o755)
        .directory("./doc/x/", 0o755)
        .file("./doc/x/README", 0o644, "")
        .file("./doc/x/copyright", 0o644, "")
        .directory("./doc/y/", 0o755)
        .file("./doc/y/README", 0o644, "");
    let setup = Setup {
        exclude: vec!["/doc/*".to_owned()],
        include: vec!["/doc/*/copyright".to_owned()],
        ..Setup::default()
    };
    let unpacked = place.unpack(vec![package], setup).unwrap();
    assert_eq!(unpacked[0].list.len(), 7);
    assert!(place.tree("doc/x/copyright").exists());
    assert!(!place.tree("doc/x/README").exists());
    assert!(!place.tree("doc/y").exists());
}

#[test]
fn diverted_files_go_where_the_diversion_says() {
    let place = Place::new();
    fs_err::create_dir_all(place.tree("var/lib/dpkg")).unwrap();
    fs_err::write(
        place.tree("var/lib/dpkg/diversions"),
        "/f\n/f.real\nowner\n",
    )
    .unwrap();
    let package = |name| PackageBuilder::new(name).file("./f", 0o644, name);
    let unpacked = place
        .unpack(vec![package("owner"), package("other")], Setup::default())
        .unwrap();
    assert_eq!(
        (place.read("f"), place.read("f.real")),
        ("owner".to_owned(), "other".to_owned())
    );
    assert_eq!(list(&unpacked[1]), ["/.", "/f"]);
}

#[test]
fn a_merged_usr_is_there_from_the_start() {
    let place = Place::new();
    let package = PackageBuilder::new("old")
        .directory("./bin/", 0o755)
        .file("./bin/tool", 0o755, "tool")
        .directory("./lib64/", 0o755)
        .symlink("./lib64/loader", "/lib/loader");
    let setup = Setup {
        top_level: TopLevel::MergedIntoUsr,
        ..Setup::default()
    };
    let unpacked = place.unpack(vec![package], setup).unwrap();
    let links = ["bin", "lib64"].map(|name| fs_err::read_link(place.tree(name)).unwrap());
    assert_eq!(
        links,
        [PathBuf::from("usr/bin"), PathBuf::from("usr/lib64")]
    );
    assert_eq!(place.read("usr/bin/tool"), "tool");
    assert!(!place.tree("sbin").exists());
    assert_eq!(list(&unpacked[0])[1..3], ["/bin", "/bin/tool"]);
    // Links that a package ships do the same for the next one.
    let place = Place::new();
    let base = PackageBuilder::new("base")
        .directory("./usr/", 0o755)
        .directory("./usr/bin/", 0o755)
        .symlink("./bin", "usr/bin");
    place.unpack(vec![base], Setup::default()).unwrap();
    let tool = PackageBuilder::new("tool")
        .directory("./bin/", 0o700)
        .file("./bin/tool", 0o755, "");
    place.unpack(vec![tool], Setup::default()).unwrap();
    assert!(place.tree("usr/bin/tool").exists());
    assert!(
        fs_err::symlink_metadata(place.tree("bin"))
            .unwrap()
            .is_symlink()
    );
}
