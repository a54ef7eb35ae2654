//! Loop devices and file systems on them, as the engine asks for them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use osbuild_host_modules::{DeviceRequest, MountRequest, Mounted, OpenDevice, device, mount};
use osbuild_testing::needs;
use osbuild_testing::needs::Need;
use osbuild_testing::private_mounts::in_private_mounts;
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

/// A directory with a tree, a device directory and a place for mounts.
struct Setting {
    _directory: tempfile::TempDir,
    dev: PathBuf,
    tree: PathBuf,
    mounts: PathBuf,
}

impl Setting {
    /// The device directory must allow device nodes, which `/tmp` may not.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let path = directory.path().join(name);
            fs_err::create_dir(&path).unwrap();
            path
        };
        let (dev, tree, mounts) = (place("dev"), place("tree"), place("mounts"));
        run(Command::new("mount")
            .args(["-t", "tmpfs", "tmpfs"])
            .arg(&dev));
        Self {
            _directory: directory,
            dev,
            tree,
            mounts,
        }
    }

    fn disk(&self, name: &str, size: u64) -> PathBuf {
        let path = self.tree.join(name);
        fs_err::File::create(&path).unwrap().set_len(size).unwrap();
        path
    }

    fn open(&self, options: &Value) -> anyhow::Result<OpenDevice> {
        device("org.osbuild.loopback")
            .unwrap()
            .open(&DeviceRequest {
                dev: &self.dev,
                tree: &self.tree,
                parent: None,
                options,
            })
    }

    fn mount(
        &self,
        name: &str,
        node: &str,
        target: &str,
        options: &Value,
    ) -> anyhow::Result<Mounted> {
        mount(name).unwrap().mount(&MountRequest {
            source: Some(&self.dev.join(node)),
            target,
            root: &self.mounts,
            tree: &self.tree,
            options,
        })
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        run(Command::new("umount").arg(&self.dev));
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Whether any loop device is attached to the file.
fn is_attached(file: &Path) -> bool {
    let output = Command::new("losetup")
        .arg("-j")
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success());
    !output.stdout.is_empty()
}

fn mount_table() -> String {
    fs_err::read_to_string("/proc/self/mountinfo").unwrap()
}

#[test]
fn a_part_of_a_file_is_a_device_until_the_guard_goes() {
    needs![root, tool("unshare"), tool("losetup")];
    in_private_mounts("a_part_of_a_file_is_a_device_until_the_guard_goes", || {
        let setting = Setting::new();
        let disk = setting.disk("disk.img", 4 * MIB);
        let options = json!({"filename": "/disk.img", "start": 2048, "size": 4096, "lock": true});
        let open = setting.open(&options).unwrap();
        let node = setting.dev.join(&open.path);
        let metadata = fs_err::metadata(&node).unwrap();
        assert!(metadata.file_type().is_block_device());
        let (major, minor) = (
            rustix::fs::major(metadata.rdev()),
            rustix::fs::minor(metadata.rdev()),
        );
        assert_eq!(open.path, format!("loop{minor}"));
        assert_eq!(
            Value::Object(open.reply.clone()),
            json!({"node": {"major": major, "minor": minor}})
        );
        let device = fs_err::read(&node).unwrap();
        assert_eq!(device.len() as u64, 2 * MIB);
        let lock = PathBuf::from(format!("/run/osbuild/locks/udev/device-{major}:{minor}"));
        assert!(lock.exists());

        fs_err::write(&node, b"written through the device").unwrap();
        drop(open);
        assert!(!is_attached(&disk));
        assert!(!node.exists());
        assert_goes_away(&lock);
        let content = fs_err::read(&disk).unwrap();
        assert!(content[MIB as usize..].starts_with(b"written through the device"));
        assert_eq!(content.len() as u64, 4 * MIB);
    });
}

/// Waits for the end of a lock. All tests of the machine share the numbers of loop devices: another one may have taken
/// this number, and its lock, in the meantime; it holds it no longer than it runs.
#[track_caller]
fn assert_goes_away(lock: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while lock.exists() {
        assert!(Instant::now() < deadline, "{} is left", lock.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_device_can_refuse_writing() {
    needs![root, tool("unshare"), tool("losetup")];
    in_private_mounts("a_device_can_refuse_writing", || {
        let setting = Setting::new();
        setting.disk("disk.img", MIB);
        let options = json!({"filename": "disk.img", "read-only": true, "sector-size": 4096});
        let open = setting.open(&options).unwrap();
        let sys = format!("/sys/block/{}", open.path);
        let read = |name: &str| fs_err::read_to_string(format!("{sys}/{name}")).unwrap();
        assert_eq!(read("ro"), "1\n");
        assert_eq!(read("queue/logical_block_size"), "4096\n");
        assert!(fs_err::write(setting.dev.join(&open.path), b"x").is_err());
    });
}

#[test]
fn partitions_are_there_without_udev_and_without_a_scan() {
    needs![root, tool("unshare"), tool("losetup"), tool("sfdisk")];
    in_private_mounts(
        "partitions_are_there_without_udev_and_without_a_scan",
        || {
            use std::io::Write as _;
            let setting = Setting::new();
            let disk = setting.disk("disk.img", 16 * MIB);
            let mut sfdisk = Command::new("sfdisk")
                .args(["--quiet"])
                .arg(&disk)
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            let script = b"label: gpt\n1: start=2048, size=4096\n3: start=8192, size=2048\n";
            sfdisk.stdin.take().unwrap().write_all(script).unwrap();
            assert!(sfdisk.wait().unwrap().success());

            let open = setting
                .open(&json!({"filename": "disk.img", "partscan": true}))
                .unwrap();
            let part = |number: u32| setting.dev.join(format!("{}p{number}", open.path));
            assert_eq!(fs_err::read(part(1)).unwrap().len() as u64, 2 * MIB);
            assert_eq!(fs_err::read(part(3)).unwrap().len() as u64, MIB);
            assert!(!part(2).exists());
            fs_err::write(part(3), b"third").unwrap();
            drop(open);
            assert!(!is_attached(&disk));
            assert!(fs_err::read(&disk).unwrap()[4 * MIB as usize..].starts_with(b"third"));
            assert_eq!(fs_err::read_dir(&setting.dev).unwrap().count(), 0);
        },
    );
}

#[test]
fn files_that_cannot_be_devices_are_named() {
    needs![root, tool("unshare")];
    in_private_mounts("files_that_cannot_be_devices_are_named", || {
        let setting = Setting::new();
        setting.disk("empty", 0);
        fs_err::os::unix::fs::symlink("/etc/passwd", setting.tree.join("link")).unwrap();
        let error = |options: Value| format!("{:#}", setting.open(&options).unwrap_err());
        let missing = error(json!({"filename": "none"}));
        assert!(
            missing.starts_with("opening `none` in the tree: No such file"),
            "{missing}"
        );
        let link = error(json!({"filename": "link"}));
        assert!(
            link.starts_with("opening `link` in the tree: No such file"),
            "{link}"
        );
        assert_eq!(
            error(json!({"filename": "empty"})),
            "`empty` has 0 bytes, and the device would start at byte 0"
        );
        let unknown = error(json!({"filename": "empty", "offset": 1}));
        assert!(unknown.contains("unknown field `offset`"), "{unknown}");
    });
}

/// Formats, mounts, writes, unmounts; mounts again read-only and reads.
fn file_system_round_trip(module: &str, program: &str, size: u64, options: &Value) {
    let setting = Setting::new();
    let disk = setting.disk("disk.img", size);
    let open = setting.open(&json!({"filename": "disk.img"})).unwrap();
    run(Command::new(program).arg(setting.dev.join(&open.path)));

    let mounted = setting
        .mount(module, &open.path, "/sub/dir/", options)
        .unwrap();
    let path = mounted.path.clone().unwrap();
    assert_eq!(path, setting.mounts.join("sub/dir/"));
    fs_err::write(path.join("file"), b"content").unwrap();
    // Programs in the sandbox look for the device by the name it has in the host's `/dev`.
    assert!(mount_table().contains(&format!("/dev/{} ", open.path)));
    drop(mounted);
    assert!(!path.join("file").exists());

    let mounted = setting
        .mount(module, &open.path, "/", &json!({"readonly": true}))
        .unwrap();
    let file = setting.mounts.join("file");
    assert_eq!(fs_err::read(&file).unwrap(), b"content");
    let error = fs_err::write(&file, b"x").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    drop(mounted);
    drop(open);
    assert!(!is_attached(&disk));
    assert!(!mount_table().contains(setting.mounts.to_str().unwrap()));
}

#[test]
fn ext4_round_trip() {
    needs![
        root,
        tool("unshare"),
        tool("losetup"),
        tool("mkfs.ext4"),
        kernel_filesystem("ext4")
    ];
    in_private_mounts("ext4_round_trip", || {
        file_system_round_trip("org.osbuild.ext4", "mkfs.ext4", 16 * MIB, &json!({}));
    });
}

#[test]
fn xfs_round_trip() {
    needs![
        root,
        tool("unshare"),
        tool("losetup"),
        tool("mkfs.xfs"),
        kernel_filesystem("xfs")
    ];
    in_private_mounts("xfs_round_trip", || {
        file_system_round_trip("org.osbuild.xfs", "mkfs.xfs", 320 * MIB, &json!({}));
    });
}

#[test]
fn btrfs_round_trip() {
    needs![
        root,
        tool("unshare"),
        tool("losetup"),
        tool("mkfs.btrfs"),
        kernel_filesystem("btrfs")
    ];
    in_private_mounts("btrfs_round_trip", || {
        let options = json!({"compress": "zstd:1"});
        file_system_round_trip("org.osbuild.btrfs", "mkfs.btrfs", 128 * MIB, &options);
    });
}

#[test]
fn fat_round_trip_or_what_to_do_without() {
    needs![root, tool("unshare"), tool("losetup"), tool("mkfs.fat")];
    in_private_mounts("fat_round_trip_or_what_to_do_without", || {
        if Need::KernelFilesystem("vfat").is_met() {
            let options = json!({"uid": 5, "gid": 6, "umask": "077", "shortname": "mixed"});
            file_system_round_trip("org.osbuild.fat", "mkfs.fat", 16 * MIB, &options);
            return;
        }
        let setting = Setting::new();
        setting.disk("disk.img", MIB);
        let open = setting.open(&json!({"filename": "disk.img"})).unwrap();
        let error = setting.mount("org.osbuild.fat", &open.path, "/", &json!({}));
        let text = format!("{:#}", error.unwrap_err());
        assert!(
            text.ends_with(
                "the running kernel has no `vfat` file system; load it with `modprobe vfat`, or \
                 build on a machine whose kernel has it"
            ),
            "{text}"
        );
    });
}

#[test]
fn a_write_protected_device_is_mounted_read_only() {
    needs![
        root,
        tool("unshare"),
        tool("losetup"),
        tool("mkfs.ext4"),
        kernel_filesystem("ext4")
    ];
    in_private_mounts("a_write_protected_device_is_mounted_read_only", || {
        let setting = Setting::new();
        let disk = setting.disk("disk.img", 16 * MIB);
        run(Command::new("mkfs.ext4").arg("-q").arg(&disk));
        let open = setting
            .open(&json!({"filename": "disk.img", "read-only": true}))
            .unwrap();
        let mounted = setting
            .mount("org.osbuild.ext4", &open.path, "/", &json!({}))
            .unwrap();
        let error = fs_err::write(setting.mounts.join("x"), b"").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
        drop(mounted);
    });
}

#[test]
fn what_cannot_be_mounted_is_explained() {
    needs![
        root,
        tool("unshare"),
        tool("losetup"),
        kernel_filesystem("ext4")
    ];
    in_private_mounts("what_cannot_be_mounted_is_explained", || {
        let setting = Setting::new();
        setting.disk("disk.img", MIB);
        let open = setting.open(&json!({"filename": "disk.img"})).unwrap();
        let error = |node: &str, options: Value| {
            format!(
                "{:#}",
                setting
                    .mount("org.osbuild.ext4", node, "/", &options)
                    .unwrap_err()
            )
        };
        let empty = error(&open.path, json!({}));
        assert!(
            empty.starts_with(&format!("mounting ext4 from /dev/{}: ", open.path)),
            "{empty}"
        );
        assert!(empty.contains("is this the right file system"), "{empty}");
        let option = error(&open.path, json!({"shortname": "mixed"}));
        assert!(
            option.contains("setting the option `shortname`"),
            "{option}"
        );
        let partition = error("loop999p1", json!({}));
        assert!(
            partition.starts_with("the device to mount is not there"),
            "{partition}"
        );
    });
}

#[test]
fn a_mount_that_is_gone_already_is_no_error() {
    needs![
        root,
        tool("unshare"),
        tool("losetup"),
        tool("mkfs.ext4"),
        kernel_filesystem("ext4")
    ];
    in_private_mounts("a_mount_that_is_gone_already_is_no_error", || {
        let setting = Setting::new();
        let disk = setting.disk("disk.img", 16 * MIB);
        run(Command::new("mkfs.ext4").arg("-q").arg(&disk));
        let open = setting.open(&json!({"filename": "disk.img"})).unwrap();
        let mounted = setting
            .mount("org.osbuild.ext4", &open.path, "/", &json!({}))
            .unwrap();
        run(Command::new("umount").arg("-R").arg(&setting.mounts));
        drop(mounted);
        drop(open);
        assert!(!is_attached(&disk));
    });
}

/// Makes an image of a folder with one file, and mounts it.
fn read_only_round_trip(module: &str, program: &str, reversed: bool) {
    let setting = Setting::new();
    let content = setting.tree.join("content");
    fs_err::create_dir(&content).unwrap();
    fs_err::write(content.join("file"), "packed").unwrap();
    let disk = setting.tree.join("disk.img");
    let mut paths = [&content, &disk];
    if reversed {
        paths.reverse();
    }
    run(Command::new(program).args(paths).stdout(Stdio::null()));
    let open = setting.open(&json!({"filename": "disk.img"})).unwrap();
    let mounted = setting
        .mount(module, &open.path, "/packed", &json!({}))
        .unwrap();
    let place = setting.mounts.join("packed");
    assert_eq!(mounted.path.as_deref(), Some(place.as_path()));
    assert_eq!(
        fs_err::read_to_string(place.join("file")).unwrap(),
        "packed"
    );
    fs_err::write(place.join("new"), "").unwrap_err();
    drop(mounted);
    assert!(!place.join("file").exists());
}

#[test]
fn squashfs_round_trip() {
    needs![
        root,
        tool("unshare"),
        tool("mksquashfs"),
        kernel_filesystem("squashfs")
    ];
    in_private_mounts("squashfs_round_trip", || {
        read_only_round_trip("org.osbuild.squashfs", "mksquashfs", false);
    });
}

#[test]
fn erofs_round_trip() {
    needs![
        root,
        tool("unshare"),
        tool("mkfs.erofs"),
        kernel_filesystem("erofs")
    ];
    in_private_mounts("erofs_round_trip", || {
        read_only_round_trip("org.osbuild.erofs", "mkfs.erofs", true);
    });
}

#[test]
fn a_mount_of_nothing_is_an_empty_folder() {
    needs![root, tool("unshare")];
    in_private_mounts("a_mount_of_nothing_is_an_empty_folder", || {
        let setting = Setting::new();
        let before = mount_table();
        let mounted = setting
            .mount("org.osbuild.noop", "none", "/a/b", &json!({"any": "thing"}))
            .unwrap();
        assert_eq!(mounted.path, Some(setting.mounts.join("a/b")));
        assert!(setting.mounts.join("a/b").is_dir());
        assert_eq!(mount_table(), before);
    });
}

#[test]
fn mounts_are_shown_in_the_tree_until_the_guard_goes() {
    needs![root, tool("unshare")];
    in_private_mounts("mounts_are_shown_in_the_tree_until_the_guard_goes", || {
        let setting = Setting::new();
        fs_err::create_dir_all(setting.mounts.join("disk/etc")).unwrap();
        fs_err::write(setting.mounts.join("disk/etc/conf"), "mounted").unwrap();
        fs_err::create_dir(setting.tree.join("seen")).unwrap();
        // Links of a tree lead nowhere else.
        fs_err::os::unix::fs::symlink("/seen", setting.tree.join("link")).unwrap();
        for (source, target, file) in [
            ("mount://", "tree://", "disk/etc/conf"),
            ("mount://disk", "tree://seen", "seen/etc/conf"),
            ("mount:///disk/etc", "tree:///link/", "seen/conf"),
        ] {
            let mounted = setting
                .mount(
                    "org.osbuild.bind",
                    "none",
                    target,
                    &json!({"source": source}),
                )
                .unwrap();
            assert!(mounted.path.is_none());
            let file = setting.tree.join(file);
            assert_eq!(
                fs_err::read_to_string(&file).unwrap(),
                "mounted",
                "{target}"
            );
            drop(mounted);
            assert!(!file.exists(), "{target}");
        }
        for (source, target, expected) in [
            ("mount://none", "tree://", "finding mount://none"),
            ("mount://", "tree://none", "finding tree://none"),
            (
                "disk",
                "tree://",
                "`disk` begins with neither tree:// nor mount://",
            ),
        ] {
            let options = json!({"source": source});
            let error = setting
                .mount("org.osbuild.bind", "none", target, &options)
                .unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    });
}
