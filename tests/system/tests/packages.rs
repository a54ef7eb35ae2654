//! `make deb` and `make rpm`, and what they install.
//!
//! `OSBUILD_BINARY` names the program to package.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of these tests are test code, too"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use osbuild_testing::needs;

/// What of the source packages are made from, and with.
const SOURCE: [&str; 8] = [
    "CHANGELOG.md",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "docs",
    "packaging",
    "scripts",
];

/// What must be there besides the program.
const INSTALLED: [&str; 6] = [
    "usr/bin/tree-diff",
    "usr/lib/osbuild/stages/org.osbuild.mkdir",
    "usr/lib/osbuild/stages/org.osbuild.mkdir.meta.json",
    "usr/lib/osbuild/runners/org.osbuild.linux",
    "usr/lib/osbuild/osbuild",
    "usr/share/bash-completion/completions/osbuild",
];

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:#?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The program under test: see `OSBUILD_BINARY`.
fn program() -> PathBuf {
    std::env::var_os("OSBUILD_BINARY").map_or_else(
        || {
            // Test programs are in `TARGET/debug/deps`.
            let own = std::env::current_exe().unwrap();
            own.ancestors().nth(2).unwrap().join("osbuild")
        },
        PathBuf::from,
    )
}

/// Copies the source as `git archive` exports it: without commits.
fn export(folder: &Path) -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let source = folder.join("source");
    fs::create_dir(&source).unwrap();
    let copied = SOURCE.map(|name| top.join(name));
    run(Command::new("cp").arg("-a").args(copied).arg(&source));
    source
}

/// Makes a package; gives the file.
#[track_caller]
fn package(kind: &str, source: &Path) -> PathBuf {
    let packages = source.with_file_name("packages");
    run(Command::new("make")
        .arg(kind)
        .arg(format!("BINARY={}", program().display()))
        .arg(format!("PACKAGES={}", packages.display()))
        // Compressing as for publication would take most of the test's time.
        .envs([
            ("DPKG_DEB_COMPRESSOR_TYPE", "gzip"),
            ("DPKG_DEB_COMPRESSOR_LEVEL", "1"),
        ])
        .current_dir(source));
    let mut files: Vec<PathBuf> = fs::read_dir(packages)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

#[track_caller]
fn assert_works(root: &Path, ending_of_pages: &str) {
    let version = run(Command::new("chroot")
        .arg(root)
        .args(["/usr/bin/osbuild", "--version"]));
    assert_eq!(version, "osbuild 191\n");
    for name in INSTALLED {
        assert!(root.join(name).exists(), "{name} is not installed");
    }
    for page in ["osbuild", "osbuild-build", "osbuild-resume"] {
        let page = root.join(format!("usr/share/man/man1/{page}.{ending_of_pages}"));
        assert!(page.exists(), "{} is not installed", page.display());
    }
}

#[test]
fn the_debian_package_of_an_export_installs_a_program_that_works() {
    needs![
        root,
        tool("make"),
        tool("dh"),
        tool("fakeroot"),
        tool("dpkg"),
        tool("chroot")
    ];
    let folder = tempfile::tempdir().unwrap();
    let package = package("deb", &export(folder.path()));
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("var/lib/dpkg/updates")).unwrap();
    fs::create_dir_all(root.join("var/lib/dpkg/info")).unwrap();
    fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    run(Command::new("dpkg")
        .arg("--root")
        .arg(&root)
        .arg("--install")
        .arg(package));
    assert_works(&root, "1.gz");
}

#[test]
fn the_rpm_package_of_a_checkout_installs_a_program_that_works() {
    needs![
        root,
        tool("make"),
        tool("git"),
        tool("rpmbuild"),
        tool("rpm"),
        tool("chroot")
    ];
    let folder = tempfile::tempdir().unwrap();
    let source = export(folder.path());
    let git = |words: &[&str]| {
        run(Command::new("git")
            .args(["-c", "user.name=test", "-c", "user.email=test@example.org"])
            .args(words)
            .current_dir(&source));
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "test"]);
    // What is not committed is not packaged.
    fs::write(source.join("docs/stray.md"), "").unwrap();
    let package = package("rpm", &source);
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    run(Command::new("rpm")
        .arg("--root")
        .arg(&root)
        .args(["--install", "--nodeps"])
        .arg(package));
    assert_works(&root, "1");
}
