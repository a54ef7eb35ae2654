//! Good packages of every compression, and bad ones.

use std::io::Read;

use super::testing::{PackageBuilder, archive};
use super::*;

fn small(extension: &'static str) -> PackageBuilder {
    PackageBuilder::new("small")
        .field("Depends", "libc6 (>= 2)")
        .control_file("preinst", "#!/bin/sh\n")
        .control_file("md5sums", "")
        .file("./hello", 0o644, "hello\n")
        .compression(extension)
}

fn error_of(bytes: &[u8]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bad.deb");
    fs_err::write(&path, bytes).unwrap();
    let error = format!("{:#}", Archive::open(&path).unwrap_err());
    let prefix = format!("reading the package {}: ", path.display());
    error
        .strip_prefix(&prefix)
        .expect("the error names the file")
        .to_owned()
}

#[test]
fn every_compression_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    for extension in ["", ".gz", ".xz", ".zst", ".bz2"] {
        let package = Archive::open(&small(extension).write(directory.path())).unwrap();
        assert_eq!(
            (package.package(), package.version(), package.architecture()),
            ("small", "1", "amd64")
        );
        assert_eq!(package.stanza().get("Depends"), Some("libc6 (>= 2)"));
        let names: Vec<_> = package
            .control_files()
            .map(|(name, file)| (name, file.mode))
            .collect();
        assert_eq!(names, [("md5sums", 0o644), ("preinst", 0o755)]);
        for threads in [1, 4] {
            let mut data = Vec::new();
            package
                .data(threads)
                .unwrap()
                .read_to_end(&mut data)
                .unwrap();
            let found = data.windows(6).any(|window| window == b"hello\n");
            assert!(found, "{extension} with {threads} threads");
        }
    }
}

#[test]
fn what_dpkg_deb_builds_can_be_read() {
    osbuild_testing::needs![tool("dpkg-deb")];
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    fs_err::create_dir_all(source.join("DEBIAN")).unwrap();
    fs_err::write(source.join("file"), "content").unwrap();
    let control =
        "Package: built\nVersion: 1:2-3\nArchitecture: all\nMaintainer: n\nDescription: d\n more\n";
    fs_err::write(source.join("DEBIAN/control"), control).unwrap();
    for compression in ["none", "gzip", "xz", "zstd"] {
        let path = directory.path().join(compression);
        let mut command = std::process::Command::new("dpkg-deb");
        command.args(["--root-owner-group", &format!("-Z{compression}"), "--build"]);
        assert!(
            command
                .arg(&source)
                .arg(&path)
                .output()
                .unwrap()
                .status
                .success()
        );
        let package = Archive::open(&path).unwrap();
        assert_eq!(package.version(), "1:2-3");
        assert_eq!(package.stanza().get("Description"), Some("d\n more"));
    }
}

#[test]
fn bad_archives_tell_what_is_wrong_and_with_which_file() {
    let directory = tempfile::tempdir().unwrap();
    let good = fs_err::read(small(".xz").write(directory.path())).unwrap();
    let member = |name: &str, content: &[u8]| (name.to_owned(), content.to_vec());
    for (bytes, expected) in [
        (&b""[..], "not a Debian package: it is no `ar` archive"),
        (
            &b"PK\x03\x04 a zip archive"[..],
            "not a Debian package: it is no `ar` archive",
        ),
        (&good[..40], "the archive is cut short"),
        (
            &archive(&[member("data.tar", b"")]),
            "not a Debian package: the first member is not `debian-binary`",
        ),
        (
            &archive(&[member("debian-binary", b"3.0\n")]),
            "format \"3.0\" of Debian packages is not known",
        ),
        (
            &archive(&[member("debian-binary", b"2.0\n")]),
            "the archive has no member `control.tar`",
        ),
        (
            &archive(&[
                member("debian-binary", b"2.0\n"),
                member("data.tar.xz", b""),
            ]),
            "the archive has `data.tar.xz` where `control.tar` belongs",
        ),
        (
            &archive(&[
                member("debian-binary", b"2.0\n"),
                member("control.tar.7z", b""),
            ]),
            "the compression of `control.tar.7z` is not known",
        ),
        (
            &archive(&[
                member("debian-binary", b"2.0\n"),
                member("control.tar", &[0; 1024]),
                member("data.tar", b""),
            ]),
            "the control member has no file `control`",
        ),
    ] {
        assert_eq!(error_of(bytes), expected);
    }
    let cut = error_of(&good[..good.len() - 10]);
    assert!(
        cut.starts_with("the archive is cut short: `data.tar.xz` should have"),
        "{cut}"
    );
}

#[test]
fn names_that_would_lead_elsewhere_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    for (name, value) in [
        ("Version", "../1"),
        ("Architecture", "a/b"),
        ("Version", ""),
    ] {
        let path = PackageBuilder::new("small")
            .field(name, value)
            .write(directory.path());
        let error = format!("{:#}", Archive::open(&path).unwrap_err());
        assert!(
            error.ends_with(&format!("the file `control` has no usable field `{name}`")),
            "{error}"
        );
    }
    let path = PackageBuilder::new("small")
        .control_file("../x", "")
        .write(directory.path());
    let error = format!("{:#}", Archive::open(&path).unwrap_err());
    assert!(error.ends_with("unexpected member \"./../x\""), "{error}");
}
