//! Trees come out the same, however they were kept between stages.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown, lchown, symlink};
use std::path::Path;
use std::process::Command;

use fs_err as fs;
use osbuild_store::{
    MaximumSize, Mounts, Object, Snapshotter, StepRecord, Store, StoreOptions, TreeBuilder,
};
use osbuild_testing::needs;
use osbuild_testing::private_mounts::in_private_mounts;
use osbuild_testing::tree::describe;
use rustix::fs::{CWD, FileType, Mode, RenameFlags, XattrFlags, makedev, renameat_with};
use serde_json::json;

const EPOCH: i64 = 86_400;

fn open(path: &Path, snapshotter: Snapshotter) -> Store {
    let options = StoreOptions {
        maximum_size: Some(MaximumSize::Unlimited),
        mounts: Mounts::Allowed,
        snapshotter: Some(snapshotter),
    };
    Store::open(path, &options).unwrap()
}

fn record(number: usize) -> StepRecord {
    StepRecord {
        stage_id: format!("stage-{number}"),
        stage_type: "org.osbuild.test".to_owned(),
        pipeline: "tree".to_owned(),
        seconds: 1.0,
    }
}

/// What stages do to a tree: each entry is one stage.
const STAGES: [fn(&Path); 6] = [begin, change, change_again, nothing, replace, tidy];

fn begin(tree: &Path) {
    for directory in ["bin", "etc/old/deep", "etc/gone", "lib/links", "var/empty"] {
        fs::create_dir_all(tree.join(directory)).unwrap();
    }
    for number in 0..20 {
        fs::write(
            tree.join(format!("etc/old/deep/{number}")),
            format!("{number}"),
        )
        .unwrap();
    }
    fs::write(tree.join("bin/tool"), "tool").unwrap();
    for name in ["bin/same", "lib/links/same", "lib/same"] {
        fs::hard_link(tree.join("bin/tool"), tree.join(name)).unwrap();
    }
    fs::write(tree.join("lib/pair-a"), "pair").unwrap();
    fs::hard_link(tree.join("lib/pair-a"), tree.join("lib/pair-b")).unwrap();
    fs::write(tree.join("lib/kept-a"), "kept").unwrap();
    fs::hard_link(tree.join("lib/kept-a"), tree.join("lib/kept-b")).unwrap();
    fs::write(tree.join("lib/trio-a"), "trio").unwrap();
    fs::hard_link(tree.join("lib/trio-a"), tree.join("lib/trio-b")).unwrap();
    fs::hard_link(tree.join("lib/trio-a"), tree.join("lib/trio-c")).unwrap();
    fs::write(tree.join("bin/ping"), "ping").unwrap();
    set_capability(&tree.join("bin/ping"));
    fs::write(tree.join("bin/su"), "su").unwrap();
    rustix::fs::chmod(tree.join("bin/su"), Mode::from_raw_mode(0o4755)).unwrap();
    for (name, kind, device) in [
        ("null", FileType::CharacterDevice, makedev(1, 3)),
        ("disk", FileType::BlockDevice, makedev(8, 0)),
        ("pipe", FileType::Fifo, 0),
    ] {
        let mode = Mode::from_raw_mode(0o640);
        rustix::fs::mknodat(CWD, tree.join(name), kind, mode, device).unwrap();
    }
    symlink("nowhere", tree.join("link")).unwrap();
    lchown(tree.join("link"), Some(5), Some(6)).unwrap();
    set_attribute(&tree.join("etc"), "user.note", b"of a directory");
    set_attribute(&tree.join("bin/su"), "trusted.note", b"of a file");
    // As `setfacl -m u:1:r` writes it (linux/posix_acl_xattr.h).
    let access_list = [
        [2, 0, 0, 0].as_slice(),
        &[1, 0, 7, 0, 0xff, 0xff, 0xff, 0xff],
        &[2, 0, 4, 0, 1, 0, 0, 0],
        &[4, 0, 5, 0, 0xff, 0xff, 0xff, 0xff],
        &[16, 0, 5, 0, 0xff, 0xff, 0xff, 0xff],
        &[32, 0, 5, 0, 0xff, 0xff, 0xff, 0xff],
    ]
    .concat();
    set_attribute(&tree.join("var"), "system.posix_acl_access", &access_list);
    set_attribute(&tree.join("var"), "system.posix_acl_default", &access_list);
    let sparse = fs::File::create(tree.join("sparse")).unwrap();
    sparse.set_len(5 << 20).unwrap();
}

fn change(tree: &Path) {
    // A directory of a lower layer moves, and takes its content along.
    fs::rename(tree.join("etc/old"), tree.join("etc/new")).unwrap();
    fs::write(tree.join("etc/new/deep/1"), "changed").unwrap();
    fs::remove_file(tree.join("etc/new/deep/2")).unwrap();
    // One of several names.
    append(&tree.join("lib/links/same"), " and more");
    fs::remove_file(tree.join("lib/pair-b")).unwrap();
    fs::remove_file(tree.join("lib/trio-b")).unwrap();
    fs::hard_link(tree.join("bin/su"), tree.join("bin/sudo")).unwrap();
    // A directory makes room for a new one of the same name: nothing of the old shows through.
    fs::write(tree.join("etc/gone/file"), "").unwrap();
    fs::remove_dir_all(tree.join("etc/gone")).unwrap();
    fs::create_dir(tree.join("etc/gone")).unwrap();
    fs::write(tree.join("etc/gone/other"), "").unwrap();
    // A file makes room for a directory, a directory for a link.
    fs::remove_file(tree.join("pipe")).unwrap();
    fs::create_dir(tree.join("pipe")).unwrap();
    fs::remove_dir(tree.join("var/empty")).unwrap();
    symlink("../etc", tree.join("var/empty")).unwrap();
    append(&tree.join("bin/ping"), "!");
    set_capability(&tree.join("bin/ping"));
    rustix::fs::chmod(tree, Mode::from_raw_mode(0o751)).unwrap();
}

fn change_again(tree: &Path) {
    fs::rename(tree.join("etc/new/deep"), tree.join("lib/deep")).unwrap();
    fs::rename(tree.join("etc/new"), tree.join("etc/old")).unwrap();
    fs::create_dir(tree.join("etc/new")).unwrap();
    append(&tree.join("bin/tool"), " and more again");
    fs::remove_file(tree.join("bin/same")).unwrap();
    chown(tree.join("bin/su"), Some(7), Some(8)).unwrap();
    rustix::fs::chmod(tree.join("bin/su"), Mode::from_raw_mode(0o6755)).unwrap();
    fs::remove_file(tree.join("null")).unwrap();
    fs::remove_dir_all(tree.join("etc/gone")).unwrap();
    // Only attributes.
    rustix::fs::chmod(tree.join("disk"), Mode::from_raw_mode(0o600)).unwrap();
    chown(tree.join("lib/links"), Some(1), Some(2)).unwrap();
    set_attribute(&tree.join("bin/ping"), "user.note", b"late");
    fs::write(tree.join("var/with-default-acl"), "").unwrap();
}

fn nothing(_: &Path) {}

fn replace(tree: &Path) {
    // As package managers replace files: written beside, and renamed over one of several names.
    fs::write(tree.join("lib/new"), "replaced").unwrap();
    fs::rename(tree.join("lib/new"), tree.join("lib/same")).unwrap();
    fs::remove_dir_all(tree.join("etc/old")).unwrap();
    fs::rename(tree.join("lib/deep"), tree.join("etc/old")).unwrap();
    exchange(&tree.join("bin"), &tree.join("var"));
    let mode = Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(
        CWD,
        tree.join("null"),
        FileType::CharacterDevice,
        mode,
        makedev(1, 3),
    )
    .unwrap();
    append(&tree.join("sparse"), "end");
    fs::create_dir(tree.join("etc/gone")).unwrap();
}

fn tidy(tree: &Path) {
    exchange(&tree.join("bin"), &tree.join("var"));
    fs::remove_file(tree.join("etc/old/5")).unwrap();
    append(&tree.join("lib/kept-b"), " and changed");
    fs::remove_file(tree.join("lib/kept-b")).unwrap();
}

fn exchange(one: &Path, other: &Path) {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

fn append(path: &Path, text: &str) {
    let mut content = fs::OpenOptions::new().append(true).open(path).unwrap();
    std::io::Write::write_all(&mut content, text.as_bytes()).unwrap();
}

fn set_attribute(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

/// Version 2, effective, `CAP_NET_RAW` (linux/capability.h, `struct vfs_cap_data`).
fn set_capability(path: &Path) {
    let mut value = [0_u8; 20];
    value[..4].copy_from_slice(&0x0200_0001_u32.to_le_bytes());
    value[4..8].copy_from_slice(&(1_u32 << 13).to_le_bytes());
    set_attribute(path, "security.capability", &value);
}

/// Everything about a tree: also extended attributes, which names belong together, and times of what was clamped.
fn describe_all(tree: &Path) -> String {
    let mut text = describe(tree).unwrap();
    let mut names: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut paths = vec![tree.to_owned()];
    let mut attributes = BTreeMap::new();
    while let Some(path) = paths.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(tree).unwrap().display().to_string();
        if metadata.is_dir() {
            paths.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else {
            assert!(metadata.nlink() > 0);
            if metadata.nlink() > 1 {
                let key = metadata.ino();
                names
                    .entry(key)
                    .or_default()
                    .push(format!("{name} ({})", metadata.nlink()));
            }
        }
        let mut list = vec![0; 4096];
        let length = rustix::fs::llistxattr(&path, &mut list[..]).unwrap();
        let mut lines = Vec::new();
        for attribute in list[..length]
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
        {
            let attribute = std::str::from_utf8(attribute).unwrap();
            let mut value = vec![0; 4096];
            let length = rustix::fs::lgetxattr(&path, attribute, &mut value[..]).unwrap();
            lines.push(format!("{attribute}={:02x?}", &value[..length]));
        }
        lines.sort();
        lines.push(format!("{:o} {}", metadata.mode(), metadata.mtime()));
        attributes.insert(name, lines);
    }
    let mut groups: Vec<_> = names
        .into_values()
        .map(|mut group| {
            group.sort();
            group
        })
        .collect();
    groups.sort();
    writeln!(text, "{groups:#?}\n{attributes:#?}").unwrap();
    text
}

/// How the tree is kept between the stages of a test.
#[derive(Clone, Copy, Debug)]
enum Keeping {
    /// Sealed after each stage.
    Sealed,
    /// Kept as a step after each stage.
    Stored,
    /// Kept as a step after each stage, by a program that ends then.
    Anew,
}

fn build(path: &Path, snapshotter: Snapshotter, keeping: Keeping) -> String {
    let mut store = open(path, snapshotter);
    let mut builder = store.new_tree().unwrap().with_epoch(Some(EPOCH));
    let parts = json!({});
    for (number, stage) in STAGES.iter().enumerate() {
        stage(&builder.tree());
        let key = format!("{snapshotter:?}-{keeping:?}-{number}");
        match keeping {
            Keeping::Sealed => {
                let can_roll_back = builder.seal().unwrap();
                assert_eq!(can_roll_back, snapshotter == Snapshotter::Overlay);
                if can_roll_back {
                    fs::remove_dir_all(builder.tree().join("lib")).unwrap();
                    fs::write(builder.tree().join("failed"), "").unwrap();
                    assert!(builder.roll_back().unwrap());
                }
            }
            Keeping::Stored => {
                builder = builder.store_step(&key, &record(number), &parts).unwrap();
            }
            Keeping::Anew => {
                drop(builder.finish_step(&key, &record(number), &parts).unwrap());
                drop(store);
                store = open(path, snapshotter);
                let object = store.step(&key).unwrap().unwrap();
                builder = store
                    .new_tree_from(&object)
                    .unwrap()
                    .with_epoch(Some(EPOCH));
            }
        }
    }
    let object = builder
        .finish_step("last", &record(STAGES.len()), &parts)
        .unwrap();
    assert!(object.is_kept());
    let text = describe_all(&object.tree());
    assert_read_only(&object);
    // What is copied out of the layers is the same again.
    let copy = store
        .new_tree_from(&object)
        .unwrap()
        .commit("copy")
        .unwrap();
    assert_eq!(
        describe_all(&copy.tree()),
        text,
        "{snapshotter:?} {keeping:?}"
    );
    assert!(
        fs::read_dir(path.join("objects/copy/data/tree"))
            .unwrap()
            .count()
            > 5
    );
    text
}

#[track_caller]
fn assert_read_only(object: &Object) {
    let error = fs::write(object.tree().join("new"), "").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
}

fn plain(path: &Path) -> String {
    let store = open(path, Snapshotter::Copy);
    let builder = store.new_tree().unwrap().with_epoch(Some(EPOCH));
    for stage in STAGES {
        stage(&builder.tree());
    }
    describe_all(&builder.keep_floating("plain").unwrap().tree())
}

fn mount_disk(folder: &Path, make: &[&str]) {
    let image = folder.with_extension("img");
    let file = fs::File::create(&image).unwrap();
    file.set_len(512 << 20).unwrap();
    run(Command::new(make[0]).args(&make[1..]).arg(&image));
    fs::create_dir(folder).unwrap();
    run(Command::new("mount")
        .args(["-o", "loop"])
        .arg(&image)
        .arg(folder));
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn compare_on(path: &Path, snapshotters: &[Snapshotter]) {
    let expected = plain(&path.join("plain"));
    for &snapshotter in snapshotters {
        for keeping in [Keeping::Sealed, Keeping::Stored, Keeping::Anew] {
            let store = path.join(format!("{snapshotter:?}-{keeping:?}"));
            let found = build(&store, snapshotter, keeping);
            assert!(
                found == expected,
                "{snapshotter:?}, {keeping:?}:\n{}",
                difference(&expected, &found)
            );
        }
    }
}

fn difference(expected: &str, found: &str) -> String {
    let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    let (expected, found) = (lines(expected), lines(found));
    let mut text = String::new();
    for line in expected.iter().filter(|line| !found.contains(line)) {
        writeln!(text, "- {line}").unwrap();
    }
    for line in found.iter().filter(|line| !expected.contains(line)) {
        writeln!(text, "+ {line}").unwrap();
    }
    text
}

#[test]
fn trees_are_equal_on_ext4() {
    needs![
        root,
        tool("unshare"),
        tool("mkfs.ext4"),
        kernel_filesystem("overlay"),
        kernel_filesystem("ext4")
    ];
    in_private_mounts("trees_are_equal_on_ext4", || {
        let folder = tempfile::tempdir().unwrap();
        mount_disk(&folder.path().join("disk"), &["mkfs.ext4", "-q"]);
        let path = folder.path().join("disk/test");
        fs::create_dir(&path).unwrap();
        compare_on(&path, &[Snapshotter::Overlay, Snapshotter::Copy]);
    });
}

#[test]
fn trees_are_equal_on_xfs() {
    needs![
        root,
        tool("unshare"),
        tool("mkfs.xfs"),
        kernel_filesystem("overlay"),
        kernel_filesystem("xfs")
    ];
    in_private_mounts("trees_are_equal_on_xfs", || {
        let folder = tempfile::tempdir().unwrap();
        mount_disk(
            &folder.path().join("disk"),
            &["mkfs.xfs", "-q", "-m", "reflink=1"],
        );
        let all = [
            Snapshotter::Overlay,
            Snapshotter::Reflink,
            Snapshotter::Copy,
        ];
        compare_on(&folder.path().join("disk"), &all);
    });
}

#[test]
fn trees_are_equal_on_btrfs() {
    needs![
        root,
        tool("unshare"),
        tool("mkfs.btrfs"),
        kernel_filesystem("overlay"),
        kernel_filesystem("btrfs")
    ];
    in_private_mounts("trees_are_equal_on_btrfs", || {
        let folder = tempfile::tempdir().unwrap();
        mount_disk(&folder.path().join("disk"), &["mkfs.btrfs", "-q"]);
        let all = [
            Snapshotter::Overlay,
            Snapshotter::Reflink,
            Snapshotter::Copy,
        ];
        compare_on(&folder.path().join("disk"), &all);
    });
}

#[test]
fn trees_are_equal_on_tmpfs() {
    needs![root, tool("unshare"), kernel_filesystem("overlay")];
    in_private_mounts("trees_are_equal_on_tmpfs", || {
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("mount")
            .args(["-t", "tmpfs", "tmpfs"])
            .arg(folder.path()));
        compare_on(folder.path(), &[Snapshotter::Overlay, Snapshotter::Copy]);
    });
}

/// Containers have their root on an overlay, which can not take the changes of another one.
#[test]
fn a_store_on_an_overlay_copies() {
    needs![root, tool("unshare"), kernel_filesystem("overlay")];
    in_private_mounts("a_store_on_an_overlay_copies", || {
        let folder = tempfile::tempdir().unwrap();
        for name in ["lower", "upper", "work", "view"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let place = folder.path().display();
        let options = format!("lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work");
        let view = folder.path().join("view");
        run(Command::new("mount")
            .args(["-t", "overlay", "overlay", "-o", &options])
            .arg(&view));
        let options = StoreOptions {
            mounts: Mounts::Allowed,
            ..StoreOptions::default()
        };
        let store = Store::open(&view.join("store"), &options).unwrap();
        assert_eq!(store.snapshotter().unwrap(), Snapshotter::Copy);
        compare_on(&view, &[Snapshotter::Copy]);
    });
}

/// Container storage in a tree holds files that mean something to an overlay.
#[test]
fn whiteouts_and_opaque_directories_in_a_tree_are_content() {
    needs![root, tool("unshare"), kernel_filesystem("overlay")];
    in_private_mounts(
        "whiteouts_and_opaque_directories_in_a_tree_are_content",
        || {
            let folder = tempfile::tempdir().unwrap();
            run(Command::new("mount")
                .args(["-t", "tmpfs", "tmpfs"])
                .arg(folder.path()));
            let store = open(&folder.path().join("store"), Snapshotter::Overlay);
            let add_whiteout = |tree: &Path, name: &str| {
                let mode = Mode::from_raw_mode(0o600);
                rustix::fs::mknodat(CWD, tree.join(name), FileType::CharacterDevice, mode, 0)
            };
            let mut builder = store.new_tree().unwrap();
            fs::write(builder.tree().join("file"), "").unwrap();
            assert!(builder.seal().unwrap());
            // Not as a layer,
            assert_eq!(
                add_whiteout(&builder.tree(), "white").unwrap_err(),
                rustix::io::Errno::PERM
            );
            // but in a directory of its own.
            builder.make_plain().unwrap();
            add_whiteout(&builder.tree(), "white").unwrap();
            fs::create_dir(builder.tree().join("opaque")).unwrap();
            set_attribute(
                &builder.tree().join("opaque"),
                "trusted.overlay.opaque",
                b"y",
            );
            assert!(!builder.seal().unwrap());
            let builder = builder.store_step("one", &record(1), &json!({})).unwrap();
            fs::write(builder.tree().join("later"), "").unwrap();
            let object = builder.finish_step("two", &record(2), &json!({})).unwrap();
            let again = store.new_tree_from(&object).unwrap();
            for tree in [object.tree(), again.tree()] {
                assert_eq!(fs::symlink_metadata(tree.join("white")).unwrap().rdev(), 0);
                let mut value = [0; 8];
                let opaque = tree.join("opaque");
                let length =
                    rustix::fs::lgetxattr(&opaque, "trusted.overlay.opaque", &mut value[..])
                        .unwrap();
                assert_eq!(&value[..length], b"y");
                assert!(tree.join("file").exists() && tree.join("later").exists());
            }
        },
    );
}

#[test]
fn deep_stacks_are_flattened() {
    needs![root, tool("unshare"), kernel_filesystem("overlay")];
    in_private_mounts("deep_stacks_are_flattened", || {
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("mount")
            .args(["-t", "tmpfs", "tmpfs"])
            .arg(folder.path()));
        for is_stored in [false, true] {
            let path = folder.path().join(format!("store-{is_stored}"));
            let store = open(&path, Snapshotter::Overlay);
            let mut builder = store.new_tree().unwrap();
            fs::create_dir(builder.tree().join("d0")).unwrap();
            for number in 0..150 {
                let tree = builder.tree();
                fs::write(tree.join(format!("d{number}/{number}")), "").unwrap();
                let next = tree.join(format!("d{}", number + 1));
                fs::rename(tree.join(format!("d{number}")), next).unwrap();
                if is_stored {
                    let key = format!("key-{number}");
                    builder = builder
                        .store_step(&key, &record(number), &json!({}))
                        .unwrap();
                } else {
                    builder.seal().unwrap();
                }
                let layers = layers_of(&builder);
                assert!(layers <= 60, "{layers} layers after stage {number}");
            }
            let object = builder.finish_step("last", &record(0), &json!({})).unwrap();
            assert_eq!(
                fs::read_dir(object.tree().join("d150")).unwrap().count(),
                150
            );
            drop((object, store));
            let store = open(&path, Snapshotter::Overlay);
            let object = store.step("last").unwrap().unwrap();
            assert_eq!(
                fs::read_dir(object.tree().join("d150")).unwrap().count(),
                150
            );
        }
    });
}

/// Counts the lower layers of the tree's mount.
fn layers_of(builder: &TreeBuilder) -> usize {
    let tree = builder.tree();
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = table
        .lines()
        .find(|line| line.split(' ').nth(4) == tree.to_str());
    line.map_or(0, |line| line.matches("lowerdir").count())
}
