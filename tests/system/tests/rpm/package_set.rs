//! The packages of all these tests, made once for each run of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fs_err as fs;
use osbuild_testing::deb_repository::sha256;
use osbuild_testing::rpm_repository::{Package, SigningKey, build};

/// Packages made from directories of this machine, so many from each of these.
const MACHINE: [(&str, usize); 2] = [("/usr/share/doc", 50), ("/usr/share", 40)];
/// Of these no package takes more.
const FILES_PER_PACKAGE: usize = 20;
/// Packages take no larger files.
const FILE_SIZE_MAX: u64 = 64 << 10;

/// Packages with everything that rpm has to take care of.
pub(crate) const SPECIAL: [&str; 8] = [
    "setup",
    "scripts",
    "triggers",
    "capabilities",
    "successor",
    "weak",
    "locales",
    "keys",
];

/// Signed packages, and one of each other kind.
#[derive(Debug)]
pub(crate) struct PackageSet {
    folder: PathBuf,
    checksums: BTreeMap<String, String>,
    /// Packages of files of this machine, without scripts.
    pub(crate) plain: Vec<String>,
    /// The key of all packages that are not named after another one, in ASCII armour.
    pub(crate) key: String,
    /// The key of the package `expired`, which has expired after it was signed.
    pub(crate) expired_key: String,
}

impl PackageSet {
    /// Makes the packages, if that has not been done.
    pub(crate) fn get() -> &'static Self {
        static SET: OnceLock<PackageSet> = OnceLock::new();
        SET.get_or_init(Self::make)
    }

    /// The file of a package.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.rpm"))
    }

    /// The checksum of a package, as manifests have it.
    pub(crate) fn checksum(&self, name: &str) -> &str {
        &self.checksums[name]
    }

    /// The special packages, then the plain ones.
    pub(crate) fn whole(&self) -> Vec<&str> {
        let plain = self.plain.iter().map(String::as_str);
        SPECIAL.into_iter().chain(plain).collect()
    }

    fn make() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rpm-packages");
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(&folder).unwrap();
        let [key, stranger, expired] = [
            SigningKey::generate().unwrap(),
            SigningKey::generate().unwrap(),
            SigningKey::generate_expired().unwrap(),
        ];
        let machine = of_this_machine();
        let plain = machine
            .iter()
            .map(|package| package.name().to_owned())
            .collect();
        let (own, others) = (special(&key.public().unwrap()), bad());
        let packages = [own, machine, others].concat();
        let files = build(&packages, &folder).unwrap();
        let (own, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| {
            !["unsigned", "stranger", "expired"]
                .iter()
                .any(|name| is(file, name))
        });
        sign_side_by_side(&key, &own);
        for (name, key) in [("stranger", &stranger), ("expired", &expired)] {
            let file = others.iter().find(|file| is(file, name)).unwrap();
            key.sign(std::slice::from_ref(file)).unwrap();
        }
        let checksums = packages.iter().map(Package::name).map(|name| {
            let content = fs::read(folder.join(format!("{name}.rpm"))).unwrap();
            (name.to_owned(), format!("sha256:{}", sha256(&content)))
        });
        Self {
            checksums: checksums.collect(),
            folder,
            plain,
            key: key.public().unwrap(),
            expired_key: expired.public().unwrap(),
        }
    }
}

fn is(file: &Path, name: &str) -> bool {
    file.file_stem().is_some_and(|stem| stem == name)
}

/// Signing takes longer than building, and uses one processor.
fn sign_side_by_side(key: &SigningKey, files: &[PathBuf]) {
    let (one, other) = files.split_at(files.len() / 2);
    std::thread::scope(|scope| {
        let signer = scope.spawn(|| key.sign(one));
        key.sign(other).unwrap();
        signer.join().unwrap().unwrap();
    });
}

fn special(key: &str) -> Vec<Package> {
    let print = |section: &str| format!("print(\"{section} of scripts\")");
    let made =
        r#"local file = io.open("/var/lib/made", "w") file:write("by a script\n") file:close()"#;
    vec![
        Package::new("setup")
            .file(
                "/etc/passwd",
                "root:x:0:0::/:\nmail:x:8:12::/:\nnobody:x:65534:65534::/:\n",
            )
            .file("/etc/group", "root:x:0:\nmail:x:12:\nnogroup:x:65534:\n")
            .entry("%dir %attr(0700,root,root) /root")
            .entry("%dir /var/lib"),
        Package::new("scripts")
            .line("Requires(pre): setup")
            .file_as("%config(noreplace)", "/etc/scripts.conf", "x = 1\n")
            .file_as("%attr(2755,root,mail)", "/usr/bin/scripts", "program\n")
            .file_as(
                "%attr(2755,root,mail)",
                "/usr/bin/again",
                "= /usr/bin/scripts",
            )
            .entry("%dir %attr(1777,mail,mail) /var/mail")
            .entry("%ghost /var/lib/ghost")
            .file("/var/lib/ghost", "")
            .lua("pre", "", &print("pre"))
            .lua("post", "", made)
            .lua("posttrans", "", &print("posttrans")),
        Package::new("triggers")
            .lua("triggerin", "-- scripts", &print("triggerin"))
            .lua("filetriggerin", "-- /usr/bin", &print("filetriggerin"))
            .lua(
                "transfiletriggerin",
                "-- /usr/share/doc",
                &print("transfiletriggerin"),
            ),
        Package::new("capabilities").file_as(
            "%attr(0755,root,root) %caps(cap_net_raw=ep)",
            "/usr/bin/ping",
            "ping\n",
        ),
        Package::new("successor")
            .line("Obsoletes: predecessor < 2")
            .line("Provides: predecessor = 2")
            .line("Conflicts: rival")
            .file("/usr/share/successor", "new\n"),
        Package::new("weak")
            .line("Requires: successor")
            .line("Recommends: locales")
            .line("Suggests: nothing-has-it")
            .file("/usr/share/weak", "weak\n"),
        Package::new("locales")
            .line("Supplements: keys")
            .file_as("%doc", "/usr/share/doc-of-locales/README", "read me\n")
            .file_as("%lang(de)", "/usr/share/locale/de/own.mo", "de\n")
            .file_as("%lang(fr)", "/usr/share/locale/fr/own.mo", "fr\n"),
        Package::new("keys").file("/etc/pki/key", key),
    ]
}

/// Packages that tests of failures want.
fn bad() -> Vec<Package> {
    let kernel = r#"print("dracut is masked: " .. tostring(posix.readlink("/etc/kernel/install.d/50-dracut.install")))"#;
    vec![
        Package::new("unsigned").file("/usr/share/unsigned", "x\n"),
        Package::new("stranger").file("/usr/share/stranger", "x\n"),
        Package::new("expired").file("/usr/share/expired", "x\n"),
        Package::new("predecessor").file("/usr/share/predecessor", "old\n"),
        Package::new("rival").file("/usr/share/rival", "x\n"),
        Package::new("needy").line("Requires: nothing-has-it"),
        Package::new("failing").lua("pre", "", "error(\"the script does not like it here\")"),
        Package::new("kernel").lua("posttrans", "", kernel),
    ]
}

/// A package for each of some directories of this machine, as it is in the first ones by name.
fn of_this_machine() -> Vec<Package> {
    let mut names: BTreeSet<String> = SPECIAL.map(str::to_owned).into();
    names.extend(bad().iter().map(|package| package.name().to_owned()));
    names.insert("doc".to_owned());
    let mut packages = Vec::new();
    for (directory, most) in MACHINE {
        let of_directory: Vec<Package> = entries(Path::new(directory))
            .into_iter()
            .filter(|entry| entry.is_dir() && !entry.is_symlink())
            .filter_map(|entry| of_directory(&entry, &mut names))
            .take(most)
            .collect();
        assert_eq!(of_directory.len(), most, "packages from {directory}");
        packages.extend(of_directory);
    }
    packages
}

/// Makes a package of the small files of a directory, unless there are none or a package has its name.
fn of_directory(directory: &Path, names: &mut BTreeSet<String>) -> Option<Package> {
    let name = directory.file_name()?.to_str()?;
    let is_free = is_plain(name) && !names.contains(name);
    let files = files(directory);
    if !is_free || files.is_empty() {
        return None;
    }
    names.insert(name.to_owned());
    let package = Package::new(name).entry(&format!("%dir {}", directory.display()));
    let package = files
        .iter()
        .fold(package, |package, file| match fs::read_link(file) {
            Ok(target) => {
                let target = format!("-> {}", target.display());
                package.file_as("", file.to_str().unwrap(), &target)
            }
            Err(_) => package.copy(file.to_str().unwrap()),
        });
    Some(package)
}

/// Small files and links of a directory and of those below it.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in entries(directory) {
        let meta = fs::symlink_metadata(&entry).unwrap();
        if meta.is_dir() {
            found.extend(files(&entry));
        } else if meta.is_symlink() || meta.is_file() && meta.len() <= FILE_SIZE_MAX {
            found.push(entry);
        }
        if found.len() >= FILES_PER_PACKAGE {
            break;
        }
    }
    found.truncate(FILES_PER_PACKAGE);
    found
}

/// Entries with names that need no quoting, by name.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_str().is_some_and(is_plain))
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}

fn is_plain(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._+-".contains(letter);
    name.chars().all(is_plain)
}
