//! A repository with as much of a distribution as a recipe asks for: packages of Fedora's names, with the programs of
//! this machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use fs_err as fs;
use osbuild_testing::needs::find_program;
use osbuild_testing::rpm_repository::{Package, SigningKey, build, create_repository};

/// Programs of a package, besides those that its stages need.
const PROGRAMS: [(&str, &[&str]); 6] = [
    ("bash", &["bash"]),
    (
        "coreutils",
        &[
            "cat", "chmod", "chown", "chroot", "cp", "ln", "mkdir", "mv", "rm",
        ],
    ),
    ("rpm", &["rpm", "rpmkeys"]),
    ("shadow-utils", &["groupadd", "useradd", "usermod"]),
    ("tar", &["tar"]),
    ("zstd", &["zstd"]),
];

/// What `setup` has; others come with the packages that want them.
const USERS: &str =
    "root:x:0:0:Super User:/root:/bin/bash\nnobody:x:65534:65534::/:/usr/sbin/nologin\n";
const GROUPS: &str = "root:x:0:\nwheel:x:10:\nmail:x:12:\nusers:x:100:\nnobody:x:65534:\n";

/// A repository in a folder.
#[derive(Debug)]
pub(crate) struct SmallSystem {
    folder: PathBuf,
    /// The key that its packages are signed with, in ASCII armour.
    pub(crate) key: String,
}

impl SmallSystem {
    /// Makes the packages and the metadata, if that has not been done.
    pub(crate) fn get() -> &'static Self {
        static SYSTEM: OnceLock<SmallSystem> = OnceLock::new();
        SYSTEM.get_or_init(Self::make)
    }

    fn make() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rpm-small-system");
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(&folder).unwrap();
        let key = SigningKey::generate().unwrap();
        let files = build(&packages(), &folder).unwrap();
        key.sign(&files).unwrap();
        create_repository(&folder).unwrap();
        Self {
            folder,
            key: key.public().unwrap(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

fn packages() -> Vec<Package> {
    let mut packages = vec![
        directories(),
        Package::new("setup")
            .file_as("%config(noreplace)", "/etc/passwd", USERS)
            .file_as("%config(noreplace)", "/etc/group", GROUPS)
            .file_as(
                "%attr(0000,root,root)",
                "/etc/shadow",
                "root:!::0:99999:7:::\n",
            )
            .file_as(
                "%attr(0000,root,root)",
                "/etc/gshadow",
                "root:::\nwheel:::\n",
            ),
        Package::new("fedora-release")
            .file("/usr/lib/os-release", "ID=fedora\nVERSION_ID=43\n")
            .file_as("", "/etc/os-release", "-> ../usr/lib/os-release"),
        Package::new("glibc-minimal-langpack").line("Requires: glibc"),
        Package::new("glibc-langpack-en").line("Requires: glibc"),
        Package::new("glibc-langpack-de").line("Requires: glibc"),
        Package::new("kbd").file("/usr/lib/kbd/keymaps/xkb/de-nodeadkeys.map", "x\n"),
        Package::new("sudo").entry("%dir %attr(0750,root,root) /etc/sudoers.d"),
        Package::new("tzdata").copy("/usr/share/zoneinfo/Europe/Berlin"),
        Package::new("greeting")
            .line("Requires: /usr/bin/bash")
            .line("Recommends: advertisement")
            .file_as(
                "%attr(0755,root,root)",
                "/usr/bin/greet",
                "#!/bin/bash\necho hello\n",
            )
            .lua("post", "", r#"posix.mkdir("/var/greeting")"#),
        Package::new("advertisement").file("/usr/share/advertisement", "buy\n"),
    ];
    let mut libraries = BTreeSet::new();
    for (name, programs) in PROGRAMS {
        let mut package = Package::new(name)
            .line("Requires: glibc")
            .line("Requires: filesystem");
        for program in programs {
            let path = in_usr(&find_program(program).unwrap());
            libraries.extend(libraries_of(&path));
            package = package.copy(path.to_str().unwrap());
        }
        packages.push(match name {
            "rpm" => with_files_of(package, Path::new("/usr/lib/rpm")),
            "bash" => package.file_as("", "/usr/bin/sh", "-> bash"),
            "shadow-utils" => package.copy("/etc/login.defs"),
            _ => package,
        });
    }
    let glibc = Package::new("glibc").line("Requires: filesystem");
    packages.push(libraries.iter().fold(glibc, |package, library| {
        package.copy(library.to_str().unwrap())
    }));
    packages
}

/// `filesystem`, with the links of a merged `/usr`.
fn directories() -> Package {
    let mut package = Package::new("filesystem").line("Requires: setup");
    for directory in ["dev", "etc", "home", "run", "usr", "var"] {
        package = package.entry(&format!("%dir /{directory}"));
    }
    for mounted in ["proc", "sys"] {
        package = package.entry(&format!("%dir %attr(0555,root,root) /{mounted}"));
    }
    for link in ["bin", "lib", "lib64", "sbin"] {
        package = package.entry(&format!("%dir /usr/{link}")).file_as(
            "",
            &format!("/{link}"),
            &format!("-> usr/{link}"),
        );
    }
    package.entry("%dir %attr(1777,root,root) /tmp")
}

/// The path without a link to a directory in it.
fn in_usr(path: &Path) -> PathBuf {
    let parent = fs::canonicalize(path.parent().unwrap()).unwrap();
    parent.join(path.file_name().unwrap())
}

/// The shared libraries of a program, and the loader of them.
fn libraries_of(program: &Path) -> BTreeSet<PathBuf> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    assert!(output.status.success(), "{}", program.display());
    let text = String::from_utf8(output.stdout).unwrap();
    let words = text.split_whitespace().filter(|word| word.starts_with('/'));
    words.map(|word| in_usr(Path::new(word))).collect()
}

/// Adds everything in a directory of this machine.
fn with_files_of(package: Package, directory: &Path) -> Package {
    let entries = fs::read_dir(directory).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().fold(package, |package, path| {
        if path.is_dir() && !path.is_symlink() {
            with_files_of(package, path)
        } else if let Ok(target) = fs::read_link(path) {
            package.file_as(
                "",
                path.to_str().unwrap(),
                &format!("-> {}", target.display()),
            )
        } else {
            package.copy(path.to_str().unwrap())
        }
    })
}
