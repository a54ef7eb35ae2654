//! Trees full of links that lead out: no stage may read or change anything outside its tree.
//!
//! Each stage first runs on a clean tree. Then, for every file and directory it touched there, it runs on a tree where
//! that one is a link to a copy outside, once absolute and once climbing. Whether the stage fails is its business.

mod device_samples;
mod samples;
mod stand_ins;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use device_samples::device_samples;
use osbuild_stage_api::testing::StageTest;
use osbuild_testing::access_watch::AccessWatch;
use samples::{Sample, assemblers, native_samples, samples};
use serde_json::{Value, json};
use stand_ins::script;

use crate::{ASSEMBLERS, STAGES};

/// Stages that write no files of a tree, or of which a test of their own shows the same.
const WITHOUT_FILES: &[&str] = &[
    "org.osbuild.bootctl.install.root", // bootctl resolves every link itself, below its `--root`
    "org.osbuild.btrfs.subvol",         // works on mounts, with a test of hostile ones
    "org.osbuild.deb",                  // needs packages: a test of its own runs it on such trees
    "org.osbuild.dnf",                  // needs packages: a test of its own runs it on such trees
    "org.osbuild.error",                // only fails
    "org.osbuild.rpm",                  // needs packages: a test of its own runs it on such trees
    "org.osbuild.yum",                  // `org.osbuild.dnf` by its former name, with the same check
    "org.osbuild.zipl.inst",            // reads mounts, with a test of hostile ones
];

/// Assemblers without a sample.
const ASSEMBLERS_WITHOUT_FILES: &[&str] = &[
    "org.osbuild.error",         // does nothing
    "org.osbuild.ostree.commit", // its programs do all the writing, in a folder of their own
    "org.osbuild.qemu",          // its loop devices need root: see tests/system
];

#[test]
fn every_assembler_has_a_sample_or_a_reason() {
    let samples = assemblers();
    let mut covered: Vec<_> = samples.iter().map(|sample| sample.name).collect();
    covered.extend(ASSEMBLERS_WITHOUT_FILES);
    covered.sort_unstable();
    let expected: Vec<_> = ASSEMBLERS.iter().map(|assembler| assembler.name).collect();
    assert_eq!(covered, expected);
}

#[test]
fn every_stage_has_a_sample_or_a_reason() {
    let covered: BTreeSet<_> = samples()
        .iter()
        .chain(&device_samples())
        .map(|sample| sample.name)
        .chain(WITHOUT_FILES.iter().copied())
        .collect();
    for stage in STAGES {
        assert!(
            covered.contains(stage.name),
            "{}: add a sample, or the reason why it needs none",
            stage.name
        );
    }
    for sample in samples().into_iter().chain(device_samples()) {
        assert!(
            !WITHOUT_FILES.contains(&sample.name),
            "{}: has a sample and a reason to have none",
            sample.name
        );
    }
}

#[test]
fn nothing_outside_the_tree_is_read_or_changed() {
    let mut found = Vec::new();
    let stages = samples().into_iter().chain(native_samples());
    let stages = stages.chain(device_samples());
    for sample in stages.chain(assemblers()) {
        let clean = prepare(&sample, None);
        let ran = clean.run();
        assert!(
            ran.result.is_ok() || is_tool_missing(ran.error()),
            "{}: {}\n{}",
            sample.name,
            ran.error(),
            ran.log
        );
        for path in entries(&clean.tree()) {
            let tree = clean.tree();
            found.extend(check(&sample, &tree, &path, Link::Absolute, Outside::Full));
            found.extend(check(&sample, &tree, &path, Link::Absolute, Outside::Bare));
            found.extend(check(&sample, &tree, &path, Link::Climbing, Outside::Full));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// How a link leads out of the tree.
#[derive(Clone, Copy, Debug)]
enum Link {
    Absolute,
    Climbing,
}

/// What is there to be changed.
#[derive(Clone, Copy, Debug)]
enum Outside {
    /// Everything a clean run leaves in the tree.
    Full,
    /// Directories only, where a new file would be seen; and what the link itself leads to.
    Bare,
}

/// A program that the machine does not have can do no harm either; CI has them all.
fn is_tool_missing(error: &str) -> bool {
    error.starts_with("FileNotFoundError: [Errno 2]") && std::env::var_os("CI").is_none()
}

/// Runs a sample on a tree where `path` is a link to something outside that is like what a clean run leaves there.
/// Tells what it changed or read outside.
fn check(
    sample: &Sample,
    clean: &Path,
    path: &Path,
    link: Link,
    outside_is: Outside,
) -> Option<String> {
    let test = prepare(sample, Some(path));
    let outside = test.workspace().join("outside");
    imitate(clean, &outside, path, outside_is);
    let target = match link {
        Link::Absolute => outside.join(path),
        // From the directory of the link up to the workspace.
        Link::Climbing => Path::new(&"../".repeat(path.components().count()))
            .join("outside")
            .join(path),
    };
    let test = test.symlink(path.to_str().unwrap(), target.to_str().unwrap());
    let before = osbuild_testing::tree::describe(&outside).unwrap();
    let watch = AccessWatch::new(&outside).unwrap();
    let ran = test.run();
    let accessed = watch.accessed().unwrap();
    let after = osbuild_testing::tree::describe(&outside).unwrap();
    let (name, path) = (sample.name, path.display());
    if before != after {
        let log = ran.log;
        return Some(format!(
            "{name} followed {path} out of its tree ({link:?}, {outside_is:?}) and left\n{after}{log}"
        ));
    }
    (!accessed.is_empty())
        .then(|| format!("{name} read {accessed:?} through {path} ({link:?}, {outside_is:?})"))
}

/// Makes directories and files as in the clean tree, but with modes and contents that no stage would leave.
fn imitate(clean: &Path, outside: &Path, link: &Path, outside_is: Outside) {
    fs_err::create_dir(outside).unwrap();
    let mut paths = entries(clean);
    paths.reverse();
    for path in paths {
        let (source, target) = (clean.join(&path), outside.join(&path));
        let is_wanted = matches!(outside_is, Outside::Full) || path == link;
        if source.symlink_metadata().unwrap().is_dir() {
            fs_err::create_dir_all(&target).unwrap();
            fs_err::set_permissions(&target, PermissionsExt::from_mode(0o711)).unwrap();
        } else if is_wanted {
            fs_err::create_dir_all(target.parent().unwrap()).unwrap();
            fs_err::write(&target, "untouched").unwrap();
            fs_err::set_permissions(&target, PermissionsExt::from_mode(0o640)).unwrap();
        }
    }
}

/// A tree with what the sample wants, but for what is below `without`.
fn prepare(sample: &Sample, without: Option<&Path>) -> StageTest {
    let stage = sample.table.iter().find(|stage| stage.name == sample.name);
    let stage = stage.unwrap_or_else(|| panic!("{} is in the table", sample.name));
    let files: [(&str, &[u8]); 1] = [("one", GZIPPED_ARCHIVE)];
    let data = json!({"files": {"one": {}}});
    let mut test =
        StageTest::new(stage, sample.options.clone()).input("file", &files, data.clone());
    test = test
        .input("image", &files, data)
        .input("tree", &files, Value::Null)
        .input("root-tree", &files, Value::Null)
        .input("rootcerts", &files, json!({"files": {"one": {}}}))
        .input("keys", &files, json!({"files": {"one": {}}}))
        .device("data_device", "data".as_ref())
        .device("hash_device", "hashes".as_ref());
    let device = test.workspace().join("device");
    fs_err::write(&device, [0; 512]).unwrap();
    test = test.device("device", &device);
    for path in sample.before {
        if without.is_some_and(|without| Path::new(path).starts_with(without)) {
            continue;
        }
        let content = match *path {
            "etc/passwd" => "anna:x:0:0::/home/anna:/bin/sh\n",
            "etc/dnf/plugins/product-id.conf"
            | "etc/dnf/automatic.conf"
            | "etc/dnf/dnf.conf"
            | "etc/yum.conf"
            | "etc/yum/pluginconf.d/langpacks.conf" => "[main]\n",
            "etc/group" => "root:x:0:\n",
            "etc/selinux/config" => "SELINUX=disabled\n",
            "usr/lib/sysusers.d/x.conf" => "g x -\n",
            _ => "before\n",
        };
        test = if path.ends_with('/') {
            test.directory(path)
        } else {
            test.file(path, content)
        };
    }
    let test = sample
        .stand_ins
        .iter()
        .fold(test, |test, program| test.program(program, script(program)));
    sample
        .without
        .iter()
        .fold(test, |test, program| test.without_program(program))
}

/// An empty tar archive in a gzip file: any stage that unpacks can do so.
#[rustfmt::skip]
const GZIPPED_ARCHIVE: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x63, 0x60, 0x18, 0x05, 0xa3, 0x60,
    0x14, 0x8c, 0x54, 0x00, 0x00, 0x2e, 0xaf, 0xb5, 0xef, 0x00, 0x04, 0x00, 0x00,
];

/// Every entry of a tree, below its root.
fn entries(tree: &Path) -> Vec<PathBuf> {
    fn visit(tree: &Path, below: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs_err::read_dir(tree.join(below)).unwrap() {
            let entry = entry.unwrap();
            let path = below.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                visit(tree, &path, found);
            }
            found.push(path);
        }
    }
    let mut found = Vec::new();
    visit(tree, Path::new(""), &mut found);
    found
}
