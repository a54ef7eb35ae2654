//! Compares directories: the report that upstream's tool gives, and ours.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can not be prepared has failed"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fs_err::{self as fs, os::unix::fs::symlink};
use osbuild_inspect::compare::{Change, FileChange, FileChangeKind};
use osbuild_inspect::tree_diff::tree_diff;
use osbuild_inspect::{Subject, compare};

/// Two trees that differ in every way that does not take root.
fn pair(place: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let (left, right) = (place.join("a"), place.join("b"));
    for tree in [&left, &right] {
        fs::create_dir_all(tree.join("etc/closed")).unwrap();
        fs::write(tree.join("etc/same"), "same").unwrap();
        fs::write(tree.join("etc/mode"), "x").unwrap();
        fs::write(tree.join("etc/shadow"), tree.as_os_str().as_encoded_bytes()).unwrap();
        symlink(tree, tree.join("etc/link")).unwrap();
    }
    fs::write(left.join("etc/closed/seen-by-nobody"), "").unwrap();
    fs::set_permissions(
        left.join("etc/closed"),
        std::fs::Permissions::from_mode(0o711),
    )
    .unwrap();
    fs::write(left.join("etc/mode"), "y").unwrap();
    fs::set_permissions(
        left.join("etc/mode"),
        std::fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    fs::write(left.join("etc/content"), "1").unwrap();
    fs::write(right.join("etc/content"), "2").unwrap();
    fs::create_dir_all(left.join("gone/deep")).unwrap();
    fs::create_dir_all(right.join("new/deep")).unwrap();
    fs::write(right.join("new/deep/\u{fc}"), "").unwrap();
    (left, right)
}

#[test]
fn the_report_is_the_one_of_upstreams_tool() {
    let place = tempfile::tempdir().unwrap();
    let (left, right) = pair(place.path());
    let report = tree_diff(&left, &right).unwrap();
    // What `tools/tree-diff` of osbuild 191 prints for these trees, but for the place they are in.
    let expected = r#"{
  "added_files": [
    "/new",
    "/new/deep",
    "/new/deep/\u00fc"
  ],
  "deleted_files": [
    "/gone",
    "/gone/deep"
  ],
  "differences": {
    "/etc/closed": {
      "mode": [
        16841,
        16877
      ]
    },
    "/etc/content": {
      "content": [
        "sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
        "sha256:d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35"
      ]
    },
    "/etc/link": {
      "symlink": [
        "PLACE/a",
        "PLACE/b"
      ]
    },
    "/etc/mode": {
      "mode": [
        33152,
        33188
      ]
    },
    "/etc/shadow": {
      "content": [
        null,
        null
      ]
    }
  }
}"#;
    let expected = expected.replace("PLACE", &place.path().display().to_string());
    assert_eq!(report, expected);
}

#[test]
fn equal_directories_do_not_differ() {
    let place = tempfile::tempdir().unwrap();
    let (left, _) = pair(place.path());
    let subject = Subject::read(&left).unwrap();
    assert!(compare(&subject, &subject).unwrap().is_empty());
}

#[test]
fn packages_and_files_are_compared() {
    let place = tempfile::tempdir().unwrap();
    let sides = ["1", "2"].map(|version| {
        let tree = place.path().join(version);
        fs::create_dir_all(tree.join("var/lib/dpkg")).unwrap();
        let status = format!("Package: hello\nStatus: install ok installed\nVersion: {version}\n");
        fs::write(tree.join("var/lib/dpkg/status"), status).unwrap();
        Subject::read(&tree).unwrap()
    });
    let found = compare(&sides[0], &sides[1]).unwrap();
    let change = |name: &str, before: &str, after: &str| Change {
        name: name.to_owned(),
        before: Some(before.to_owned()),
        after: Some(after.to_owned()),
    };
    assert_eq!(found.packages, [change("hello", "1", "2")]);
    let [
        FileChange {
            path,
            kind: FileChangeKind::Changed { properties },
        },
    ] = found.files.as_slice()
    else {
        panic!("{:?}", found.files);
    };
    assert_eq!(path, "/var/lib/dpkg/status");
    assert_eq!(properties.len(), 1);
    assert_eq!(properties[0].name, "content");
}
