//! What only root can make and only root can break.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use osbuild_store::{Store, StoreOptions, remove_tree};
use osbuild_testing::needs;
use rustix::fs::{CWD, FileType, Mode, XattrFlags};

#[test]
fn copies_keep_owners_devices_and_capabilities() {
    needs![root];
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), &StoreOptions::default()).unwrap();
    let builder = store.new_tree().unwrap();
    let tree = builder.tree();
    fs_err::write(tree.join("program"), "x").unwrap();
    std::os::unix::fs::chown(tree.join("program"), Some(12), Some(34)).unwrap();
    rustix::fs::chmod(tree.join("program"), Mode::from_raw_mode(0o6755)).unwrap();
    // Version 2, effective, CAP_NET_RAW (linux/capability.h, struct vfs_cap_data).
    let mut capability = [0_u8; 20];
    capability[..4].copy_from_slice(&0x0200_0001_u32.to_le_bytes());
    capability[4..8].copy_from_slice(&(1_u32 << 13).to_le_bytes());
    let set = |value: &[u8]| {
        rustix::fs::setxattr(
            tree.join("program"),
            "security.capability",
            value,
            XattrFlags::empty(),
        )
    };
    set(&capability).unwrap();
    rustix::fs::mknodat(
        CWD,
        tree.join("null"),
        FileType::CharacterDevice,
        Mode::from_raw_mode(0o600),
        rustix::fs::makedev(1, 3),
    )
    .unwrap();
    std::os::unix::fs::symlink("x", tree.join("link")).unwrap();
    std::os::unix::fs::lchown(tree.join("link"), Some(56), Some(78)).unwrap();
    rustix::fs::lsetxattr(
        tree.join("link"),
        "trusted.test",
        b"on a link",
        XattrFlags::empty(),
    )
    .unwrap();

    let object = builder.commit("base").unwrap();
    let copy = store.new_tree_from(&object).unwrap().tree();
    // The builder is gone, and with it its tree.
    assert!(!copy.exists());
    let builder = store.new_tree_from(&object).unwrap();
    let metadata = |name: &str| fs_err::symlink_metadata(builder.tree().join(name)).unwrap();
    assert_eq!(
        (metadata("program").uid(), metadata("program").gid()),
        (12, 34)
    );
    assert_eq!(metadata("program").mode() & 0o7777, 0o6755);
    let mut value = [0; 64];
    let length = rustix::fs::getxattr(
        builder.tree().join("program"),
        "security.capability",
        &mut value[..],
    )
    .unwrap();
    assert_eq!(&value[..length], capability);
    assert_eq!(metadata("null").rdev(), rustix::fs::makedev(1, 3));
    assert_eq!((metadata("link").uid(), metadata("link").gid()), (56, 78));
    let length =
        rustix::fs::lgetxattr(builder.tree().join("link"), "trusted.test", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"on a link");
}

#[test]
fn immutable_files_are_removed() {
    needs![root, tool("chattr")];
    let directory = tempfile::tempdir().unwrap();
    let top = directory.path().join("top");
    fs_err::create_dir_all(top.join("inner")).unwrap();
    fs_err::write(top.join("inner/file"), "").unwrap();
    for (flag, path) in [("+i", "inner/file"), ("+a", "inner"), ("+i", "")] {
        let status = Command::new("chattr")
            .arg(flag)
            .arg(top.join(path))
            .status()
            .unwrap();
        assert!(status.success());
    }
    remove_tree(&top).unwrap();
    assert!(!top.exists());
}

/// Runs one test of this program again, in a mount namespace of its own; tells whether this is that run.
fn is_in_private_mounts(test: &str) -> bool {
    const VARIABLE: &str = "OSBUILD_TEST_PRIVATE";
    if std::env::var_os(VARIABLE).is_some() {
        return true;
    }
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(VARIABLE, "1")
        .arg0("unshare")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

fn mount(arguments: &[&str], target: &Path) {
    let status = Command::new("mount")
        .args(arguments)
        .arg(target)
        .status()
        .unwrap();
    assert!(status.success(), "mount {arguments:?}");
}

#[test]
fn nothing_is_removed_across_a_mount() {
    needs![root, tool("unshare"), tool("mount")];
    if !is_in_private_mounts("nothing_is_removed_across_a_mount") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let [precious, top, file] = ["precious", "top", "file"].map(|name| directory.path().join(name));
    fs_err::create_dir(&precious).unwrap();
    fs_err::write(precious.join("file"), "kept").unwrap();
    for name in ["usr", "tmpfs"] {
        fs_err::create_dir_all(top.join(name)).unwrap();
    }
    // Of the same file system, so that device numbers tell nothing.
    mount(&["--bind", precious.to_str().unwrap()], &top.join("usr"));
    let error = remove_tree(&top).unwrap_err();
    assert!(
        error.to_string().starts_with("something is mounted on "),
        "{error:#}"
    );
    assert_eq!(
        fs_err::read_to_string(precious.join("file")).unwrap(),
        "kept"
    );

    // The same for a killed build's directory in a store, which must open all the same.
    let store = directory.path().join("store");
    drop(Store::open(&store, &StoreOptions::default()).unwrap());
    fs_err::create_dir_all(store.join("tmp/host-x/usr")).unwrap();
    mount(
        &["--bind", precious.to_str().unwrap()],
        &store.join("tmp/host-x/usr"),
    );
    drop(Store::open(&store, &StoreOptions::default()).unwrap());
    assert_eq!(
        fs_err::read_to_string(precious.join("file")).unwrap(),
        "kept"
    );

    fs_err::write(&file, "").unwrap();
    fs_err::write(top.join("bound"), "").unwrap();
    mount(&["--bind", file.to_str().unwrap()], &top.join("bound"));
    assert!(remove_tree(&top.join("bound")).is_err());
    for path in [
        top.join("usr"),
        top.join("bound"),
        store.join("tmp/host-x/usr"),
    ] {
        rustix::mount::unmount(path, rustix::mount::UnmountFlags::empty()).unwrap();
    }
    remove_tree(&top).unwrap();
}

#[test]
fn a_full_and_a_read_only_store_say_so() {
    needs![root, tool("unshare"), tool("mount")];
    if !is_in_private_mounts("a_full_and_a_read_only_store_say_so") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    mount(&["-t", "tmpfs", "-o", "size=2m", "tmpfs"], directory.path());
    let store = Store::open(directory.path(), &StoreOptions::default()).unwrap();
    let builder = store.new_tree().unwrap();
    fs_err::write(builder.tree().join("file"), vec![1; 1_200_000]).unwrap();
    let object = builder.commit("base").unwrap();
    let error = format!("{:#}", store.new_tree_from(&object).unwrap_err());
    assert!(error.contains("No space left on device"), "{error}");
    assert!(error.contains("starting from "), "{error}");
    let left: Vec<_> = fs_err::read_dir(directory.path().join("stage"))
        .unwrap()
        .collect();
    assert!(left.is_empty(), "{left:?}");
    // There is room again.
    store.new_tree().unwrap().commit("small").unwrap();
    drop((object, store));

    mount(&["-o", "remount,ro"], directory.path());
    let error = format!(
        "{:#}",
        Store::open(directory.path(), &StoreOptions::default()).unwrap_err()
    );
    assert!(error.starts_with("opening the store "), "{error}");
    assert!(error.contains("Read-only file system"), "{error}");
    rustix::mount::unmount(directory.path(), rustix::mount::UnmountFlags::empty()).unwrap();
}
