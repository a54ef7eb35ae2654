//! The inputs, as the engine calls them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use osbuild_host_modules::{InputRequest, MappedInput, ObjectSource, input};
use osbuild_testing::needs;
use osbuild_testing::private_mounts::in_private_mounts;
use serde_json::{Value, json};

/// A directory with downloads, and trees by id.
struct Objects(PathBuf);

impl ObjectSource for Objects {
    fn tree(&self, object_id: &str) -> Option<PathBuf> {
        Some(self.0.join("trees").join(object_id)).filter(|tree| tree.exists())
    }

    fn downloads(&self) -> PathBuf {
        self.0.join("sources")
    }
}

fn setting() -> (tempfile::TempDir, Objects, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("target");
    let files = directory.path().join("sources/org.osbuild.files");
    for path in [&target, &files, &directory.path().join("trees/aa/etc")] {
        fs_err::create_dir_all(path).unwrap();
    }
    fs_err::write(files.join("md5:00"), b"downloaded").unwrap();
    fs_err::write(directory.path().join("trees/aa/etc/conf"), b"built").unwrap();
    let objects = Objects(directory.path().to_owned());
    (directory, objects, target)
}

fn map(
    name: &str,
    origin: &str,
    references: &[(&str, Value)],
    target: &Path,
    objects: &Objects,
) -> anyhow::Result<MappedInput> {
    let references: IndexMap<String, Value> = references
        .iter()
        .map(|(name, options)| ((*name).to_owned(), options.clone()))
        .collect();
    input(name).unwrap().map(&InputRequest {
        origin,
        references: &references,
        target,
        options: &json!({}),
        objects,
    })
}

#[test]
fn downloads_are_linked_under_their_checksum() {
    let (_directory, objects, target) = setting();
    let options = json!({"metadata": {"rpm.check_gpg": true}});
    let origin = "org.osbuild.source";
    let mapped = map(
        "org.osbuild.files",
        origin,
        &[("md5:00", options)],
        &target,
        &objects,
    )
    .unwrap();
    assert_eq!(mapped.path, target);
    assert_eq!(
        mapped.data,
        Some(json!({"files": {"md5:00": {"rpm.check_gpg": true}}}))
    );
    let source = objects.downloads().join("org.osbuild.files/md5:00");
    let inode = |path: &Path| fs_err::metadata(path).unwrap().ino();
    assert_eq!(inode(&target.join("md5:00")), inode(&source));
}

#[test]
fn a_download_that_is_missing_is_named() {
    let (_directory, objects, target) = setting();
    for (name, expected) in [
        ("md5:11", "providing the downloaded file md5:11"),
        ("../x", "`../x` is not the name of a downloaded file"),
    ] {
        let origin = "org.osbuild.source";
        let result = map(
            "org.osbuild.files",
            origin,
            &[(name, json!({}))],
            &target,
            &objects,
        );
        assert_eq!(result.unwrap_err().to_string(), expected);
    }
}

#[test]
fn files_of_a_pipeline_are_shown_read_only_until_the_guards_go() {
    needs![root, tool("unshare")];
    in_private_mounts(
        "files_of_a_pipeline_are_shown_read_only_until_the_guards_go",
        || {
            let (_directory, objects, target) = setting();
            let options = json!({"file": "/etc/conf"});
            let origin = "org.osbuild.pipeline";
            let mapped = map(
                "org.osbuild.files",
                origin,
                &[("aa", options)],
                &target,
                &objects,
            )
            .unwrap();
            assert_eq!(mapped.data, Some(json!({"files": {"etc/conf": {}}})));
            let shown = target.join("etc/conf");
            assert_eq!(fs_err::read(&shown).unwrap(), b"built");
            let error = fs_err::write(&shown, b"x").unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
            drop(mapped);
            assert_eq!(fs_err::read(&shown).unwrap(), b"");
        },
    );
}

#[test]
fn a_link_in_a_tree_does_not_lead_to_the_host() {
    needs![root, tool("unshare")];
    in_private_mounts("a_link_in_a_tree_does_not_lead_to_the_host", || {
        let (directory, objects, target) = setting();
        let outside = directory.path().join("outside");
        fs_err::write(&outside, b"secret").unwrap();
        let tree = directory.path().join("trees/aa");
        fs_err::os::unix::fs::symlink(&outside, tree.join("absolute")).unwrap();
        fs_err::os::unix::fs::symlink("../../outside", tree.join("upwards")).unwrap();
        for file in ["absolute", "upwards", "../../outside"] {
            let references = [("aa", json!({ "file": file }))];
            let origin = "org.osbuild.pipeline";
            let result = map("org.osbuild.files", origin, &references, &target, &objects);
            assert!(result.is_err(), "{file}");
        }
    });
}

#[test]
fn a_tree_is_shown_read_only_until_its_guard_goes() {
    needs![root, tool("unshare")];
    in_private_mounts("a_tree_is_shown_read_only_until_its_guard_goes", || {
        let (_directory, objects, target) = setting();
        let references = [("aa", json!({}))];
        let origin = "org.osbuild.pipeline";
        let mapped = map("org.osbuild.tree", origin, &references, &target, &objects).unwrap();
        assert_eq!((&mapped.path, &mapped.data), (&target, &None));
        assert_eq!(fs_err::read(target.join("etc/conf")).unwrap(), b"built");
        let error = fs_err::write(target.join("new"), b"x").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
        drop(mapped);
        assert_eq!(fs_err::read_dir(&target).unwrap().count(), 0);
    });
}

#[test]
fn pipelines_that_are_not_there_are_named() {
    let (_directory, objects, target) = setting();
    let origin = "org.osbuild.pipeline";
    let error = |name: &str, references: &[(&str, Value)]| {
        map(name, origin, references, &target, &objects)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error("org.osbuild.tree", &[("bb", json!({}))]),
        "Unknown pipeline 'bb'"
    );
    assert_eq!(
        error("org.osbuild.tree", &[]),
        "a tree input has one reference, not 0"
    );
    assert_eq!(
        error("org.osbuild.files", &[("bb", json!({"file": "x"}))]),
        "Unknown pipeline 'bb'"
    );
    assert_eq!(
        error("org.osbuild.files", &[("aa", json!({}))]),
        "the reference to pipeline aa names no `file`"
    );
}

#[test]
fn an_input_of_nothing_tells_the_references() {
    let (_directory, objects, target) = setting();
    let references = [("md5:00", json!({"a": 1})), ("anything", json!({}))];
    let mapped = map(
        "org.osbuild.noop",
        "org.osbuild.source",
        &references,
        &target,
        &objects,
    )
    .unwrap();
    assert_eq!(mapped.path, target);
    assert_eq!(
        mapped.data,
        Some(json!({"refs": {"md5:00": {"a": 1}, "anything": {}}}))
    );
    assert_eq!(
        osbuild_testing::tree::describe(&target).unwrap(),
        "empty/ 0755\n"
    );
}
