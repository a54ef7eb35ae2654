//! Whole disks: made, checked by the file systems' own tools, and made again.

use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use super::*;
use osbuild_stage_api::testing::StageTest;
use osbuild_testing::needs;
use serde_json::Value;

const MIB: u64 = 1 << 20;
const ROOT_UUID: &str = "a957573a-f432-4bed-a0bc-e541bddf8579";
const HOME_UUID: &str = "0ae8e5c2-3f40-4f4e-9a0c-9b1d6e2cf001";
const LINUX: &str = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";
const EPOCH: i64 = 1_700_000_000;

fn gpt(partitions: &Value) -> Value {
    json!({
        "filename": "disk.img", "label": "gpt", "uuid": "d209c89e-ea5e-4fbd-b161-b461cce297e0",
        "partitions": partitions
    })
}

fn partition(number: u8, filesystem: Value) -> Value {
    let uuid = format!("fac7f1fb-3e8d-4137-a512-961de09a55{number:02x}");
    let mut partition = json!({"type": LINUX, "uuid": uuid, "name": format!("part {number}")});
    if !filesystem.is_null() {
        partition["filesystem"] = filesystem;
    }
    partition
}

fn ext4(mountpoint: &str, uuid: &str) -> Value {
    json!({"type": "ext4", "uuid": uuid, "mountpoint": mountpoint})
}

/// The stage with an empty input tree, and where that is.
fn test_with(options: Value) -> (StageTest, PathBuf) {
    let test = StageTest::new(&STAGE, options)
        .input("tree", &[], Value::Null)
        .source_epoch(EPOCH);
    let tree = test.workspace().join("inputs/tree");
    (test, tree)
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    text
}

/// Cuts a partition out of the disk, by what the stage said of it.
fn cut(test: &StageTest, metadata: &Value, index: usize) -> PathBuf {
    let number = |key: &str| metadata["partitions"][index][key].as_u64().unwrap();
    let path = test.workspace().join(format!("partition-{index}"));
    let [from, to] = [test.path("disk.img"), path.clone()].map(|path| path.display().to_string());
    let range = [
        format!("skip={}", number("start")),
        format!("count={}", number("size")),
    ];
    let [from, to] = [format!("if={from}"), format!("of={to}")];
    output(
        "dd",
        &[
            &from,
            &to,
            &range[0],
            &range[1],
            "bs=1M",
            "iflag=skip_bytes,count_bytes",
            "conv=sparse",
        ],
    );
    path
}

fn debugfs(image: &Path, request: &str) -> String {
    let ran = Command::new("debugfs")
        .args(["-R", request])
        .arg(image)
        .output()
        .unwrap();
    String::from_utf8(ran.stdout).unwrap()
}

/// Runs a test again in a process with mounts of its own: a directory is covered while `mkfs` runs.
fn with_own_mounts(name: &str, body: impl FnOnce()) {
    const VARIABLE: &str = "OSBUILD_TEST_WITH_OWN_MOUNTS";
    if std::env::var_os(VARIABLE).is_some_and(|value| value == name) {
        return body();
    }
    let program = std::env::current_exe().unwrap();
    let ran = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(program)
        .args([
            &format!("stages::disk::tests::{name}"),
            "--exact",
            "--nocapture",
        ])
        .env(VARIABLE, name)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
    assert!(ran.status.success() && text.contains("1 passed"), "{text}");
}

/// A system in small: everything that is easily lost.
fn fill(tree: &Path) {
    fs_err::create_dir_all(tree.join("boot/efi/EFI/BOOT")).unwrap();
    fs_err::create_dir_all(tree.join("home/user")).unwrap();
    fs_err::create_dir_all(tree.join("usr/bin")).unwrap();
    fs_err::write(tree.join("boot/efi/EFI/BOOT/BOOTX64.EFI"), vec![1; 100_000]).unwrap();
    fs_err::write(tree.join("home/user/notes"), "mine").unwrap();
    fs_err::write(tree.join("usr/bin/sudo"), vec![2; 300_000]).unwrap();
    fs_err::set_permissions(tree.join("usr/bin/sudo"), PermissionsExt::from_mode(0o4755)).unwrap();
    fs_err::hard_link(tree.join("usr/bin/sudo"), tree.join("usr/bin/sudoedit")).unwrap();
    std::os::unix::fs::symlink("usr/bin", tree.join("bin")).unwrap();
    std::os::unix::fs::chown(tree.join("home/user"), Some(1000), Some(100_000)).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    // What the capability `cap_net_raw+ep` looks like on disk.
    let capability = [
        1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    rustix::fs::lsetxattr(
        tree.join("usr/bin/sudo"),
        "security.capability",
        &capability,
        flags,
    )
    .unwrap();
    fs_err::set_permissions(tree.join("home"), PermissionsExt::from_mode(0o1751)).unwrap();
    let sparse = fs_err::File::create(tree.join("sparse")).unwrap();
    sparse.set_len(3 << 30).unwrap();
    sparse.file().write_all_at(b"end", (3 << 30) - 3).unwrap();
}

fn system_disk() -> Value {
    let esp =
        json!({"type": "fat", "uuid": "7B77-95E7", "label": "ESP", "mountpoint": "/boot/efi"});
    gpt(&json!([
        partition(1, esp),
        partition(2, ext4("/", ROOT_UUID)),
        partition(3, ext4("/home", HOME_UUID))
    ]))
}

#[test]
fn a_system_is_spread_over_its_file_systems_and_nothing_is_lost() {
    needs![
        root,
        tool("mkfs.ext4"),
        tool("e2fsck"),
        tool("debugfs"),
        tool("fsck.fat"),
        tool("mdir"),
        tool("sfdisk")
    ];
    with_own_mounts(
        "a_system_is_spread_over_its_file_systems_and_nothing_is_lost",
        || {
            let (test, tree) = test_with(system_disk());
            fill(&tree);
            let metadata = test.run().success().metadata.unwrap();
            let [esp, root, home] = [0, 1, 2].map(|index| cut(&test, &metadata, index));
            output("fsck.fat", &["-n", esp.to_str().unwrap()]);
            output(
                "mdir",
                &["-i", esp.to_str().unwrap(), "::/EFI/BOOT/BOOTX64.EFI"],
            );
            for image in [&root, &home] {
                output("e2fsck", &["-f", "-n", image.to_str().unwrap()]);
            }
            assert_eq!(
                debugfs(&root, "ls -p /boot/efi").lines().count(),
                3,
                "`.`, `..` and an empty line"
            );
            assert_eq!(debugfs(&root, "ls -p /home").lines().count(), 3);
            let sudo = debugfs(&root, "stat /usr/bin/sudo");
            for part in [
                "Mode:  04755",
                "Links: 2",
                "security.capability (20)",
                "mtime: 0x",
                "User:     0",
            ] {
                assert!(sudo.contains(part), "{part} in {sudo}");
            }
            assert!(debugfs(&root, "stat /bin").contains("Fast link dest: \"usr/bin\""));
            assert_eq!(debugfs(&home, "cat /user/notes"), "mine");
            let top = debugfs(&home, "stat <2>");
            assert!(top.contains("Mode:  01751"), "{top}");
            let user = debugfs(&home, "stat /user");
            assert!(user.contains("User:  1000   Group: 100000"), "{user}");
            assert!(
                output("sfdisk", &["-V", test.path("disk.img").to_str().unwrap()])
                    .contains("No errors detected.")
            );
            // The tree is as it was: nothing stays hidden.
            assert!(tree.join("boot/efi/EFI").is_dir());
            let disk = fs_err::metadata(test.path("disk.img")).unwrap();
            assert!(
                disk.blocks() * 512 < 40 * MIB,
                "the 3 GiB hole is not stored: {}",
                disk.blocks()
            );
        },
    );
}

#[test]
fn equal_trees_give_equal_disks_under_an_epoch() {
    needs![root, tool("mkfs.ext4")];
    with_own_mounts("equal_trees_give_equal_disks_under_an_epoch", || {
        let build = || {
            let (test, tree) = test_with(system_disk());
            fill(&tree);
            let _ = test.run().success();
            std::thread::sleep(std::time::Duration::from_millis(1100));
            (
                output("sha256sum", &[test.path("disk.img").to_str().unwrap()])[..64].to_owned(),
                test,
            )
        };
        let (one, other) = (build(), build());
        assert_eq!(one.0, other.0);
    });
}

#[test]
fn a_file_system_sized_by_its_content_holds_it() {
    needs![tool("mkfs.ext4"), tool("e2fsck")];
    for (files, size, free) in [
        (0, 0, 0),
        (3000, 10, 0),
        (2, 20 << 20, 0),
        (300, 70_000, 20 * MIB),
    ] {
        let mut root = partition(1, ext4("/", ROOT_UUID));
        root["free"] = json!(free);
        let (test, tree) = test_with(gpt(&json!([root])));
        for index in 0..files {
            fs_err::write(
                tree.join(format!("file with a long name number {index}")),
                vec![index as u8 | 1; size],
            )
            .unwrap();
        }
        let metadata = test.run().success().metadata.unwrap();
        let image = cut(&test, &metadata, 0);
        output("e2fsck", &["-f", "-n", image.to_str().unwrap()]);
        let shown = output("dumpe2fs", &["-h", image.to_str().unwrap()]);
        let value = |name: &str| -> u64 {
            let line = shown.lines().find(|line| line.starts_with(name)).unwrap();
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        let available = (value("Free blocks:") - value("Reserved block count:")) * 4096;
        assert!(
            available >= free && available < free + 24 * MIB,
            "{files} files of {size}: {available} for {free}"
        );
    }
}

#[test]
fn btrfs_is_filled_too() {
    needs![tool("mkfs.btrfs"), tool("btrfs")];
    let btrfs = json!({"type": "btrfs", "uuid": ROOT_UUID, "label": "root", "mountpoint": "/"});
    let (test, tree) = test_with(gpt(&json!([partition(1, btrfs)])));
    fs_err::create_dir(tree.join("etc")).unwrap();
    fs_err::write(tree.join("etc/hostname"), "debian\n").unwrap();
    let ran = test.run().success();
    assert_eq!(
        ran.tree.lines().count(),
        1,
        "the file it was made in is gone: {}",
        ran.tree
    );
    let image = cut(&test, &ran.metadata.unwrap(), 0);
    output("btrfs", &["check", "--readonly", image.to_str().unwrap()]);
    let back = test.workspace().join("back");
    fs_err::create_dir(&back).unwrap();
    output(
        "btrfs",
        &["restore", image.to_str().unwrap(), back.to_str().unwrap()],
    );
    assert_eq!(
        fs_err::read_to_string(back.join("etc/hostname")).unwrap(),
        "debian\n"
    );
}

#[test]
fn xfs_is_made_where_it_is_empty_and_refused_where_it_would_lose_something() {
    needs![tool("mkfs.xfs"), tool("xfs_repair"), tool("xfs_db")];
    let xfs = json!({"type": "xfs", "uuid": ROOT_UUID, "label": "srv", "mountpoint": "/srv"});
    let (test, tree) = test_with(gpt(&json!([partition(1, xfs)])));
    fs_err::create_dir(tree.join("srv")).unwrap();
    fs_err::set_permissions(tree.join("srv"), PermissionsExt::from_mode(0o750)).unwrap();
    let image = cut(&test, &test.run().success().metadata.unwrap(), 0);
    let name = image.to_str().unwrap();
    output("xfs_repair", &["-n", name]);
    let mode = output(
        "xfs_db",
        &[
            "-r",
            "-c",
            "sb 0",
            "-c",
            "addr rootino",
            "-c",
            "print core.mode",
            name,
        ],
    );
    assert_eq!(mode, "core.mode = 040750\n");
    fs_err::write(tree.join("srv/file"), "").unwrap();
    assert_eq!(
        test.run().error(),
        "ValueError: making the file system of partition 1: INPUTS/tree/srv has content, and `mkfs.xfs` can not fill \
         a file system without losing attributes and hard links: use ext4 or btrfs there"
    );
}

#[test]
fn an_mbr_disk_has_its_table_and_its_swap() {
    needs![tool("sfdisk"), tool("swaplabel")];
    let swap = json!({"type": "swap", "uuid": ROOT_UUID, "label": "swap"});
    let options = json!({
        "filename": "disk.img", "label": "dos", "uuid": "0x1234abcd", "size": 64 * MIB,
        "partitions": [
            {"type": "82", "size": 8 * MIB, "filesystem": swap},
            {"type": "0x83", "bootable": true, "size": MIB, "grow": true}
        ]
    });
    let (test, _) = test_with(options);
    let metadata = test.run().success().metadata.unwrap();
    let dump = output("sfdisk", &["-d", test.path("disk.img").to_str().unwrap()]);
    for part in [
        "label-id: 0x1234abcd",
        "start=        2048, size=       16384, type=82",
        "start=       18432, size=      112640, type=83, bootable",
    ] {
        assert!(dump.contains(part), "{part} in {dump}");
    }
    let shown = output("swaplabel", &[cut(&test, &metadata, 0).to_str().unwrap()]);
    assert_eq!(shown, format!("LABEL: swap\nUUID:  {ROOT_UUID}\n"));
}

#[test]
fn grub_for_bios_is_put_where_it_finds_itself() {
    needs![tool("grub-mkimage"), tool("mkfs.ext4")];
    let bios =
        json!({"type": "21686148-6449-6e6f-744e-656564454649", "uuid": HOME_UUID, "size": MIB});
    let mut options = gpt(&json!([bios, partition(2, ext4("/", ROOT_UUID))]));
    options["grub"] = json!({"platform": "i386-pc"});
    let (test, _) = test_with(options);
    let log = test.run().success().log;
    assert!(
        log.contains(" --prefix /boot/grub --format i386-pc ")
            && log.contains("biosdisk part_gpt ext2 search_fs_uuid\n"),
        "{log}"
    );
    let disk = fs_err::File::open(test.path("disk.img")).unwrap();
    let read = |place, length| {
        let mut bytes = vec![0; length];
        disk.file().read_exact_at(&mut bytes, place).unwrap();
        bytes
    };
    let boot = fs_err::read("/usr/lib/grub/i386-pc/boot.img").unwrap();
    assert_eq!(read(0, 0x5c), boot[..0x5c]);
    assert_eq!(read(0x5c, 8), 2048u64.to_le_bytes());
    assert_eq!(read(0x66, 2), [0x90, 0x90]);
    assert_eq!(read(510, 2), [0x55, 0xaa]);
    assert_eq!(read(MIB + 500, 8), 2049u64.to_le_bytes());
}

#[test]
fn what_can_not_be_made_is_refused_in_words() {
    needs![tool("mkfs.ext4")];
    let two = json!([
        partition(1, ext4("/", ROOT_UUID)),
        partition(2, ext4("/", HOME_UUID))
    ]);
    let mut no_bios_partition = gpt(&json!([partition(1, ext4("/", ROOT_UUID))]));
    no_bios_partition["grub"] = json!({"platform": "i386-pc"});
    let mut small = gpt(&json!([partition(1, ext4("/", ROOT_UUID))]));
    small["size"] = json!(8 * MIB);
    let mut bad_uuid = gpt(&json!([partition(1, Value::Null)]));
    bad_uuid["partitions"][0]["size"] = json!(MIB);
    bad_uuid["partitions"][0]["uuid"] = Value::Null;
    let esp = json!({"type": "fat", "uuid": "7B77-95E7"});
    for (options, expected) in [
        (gpt(&two), "two file systems are to be mounted on `/`"),
        (
            gpt(&json!([partition(1, Value::Null)])),
            "partition 1 has neither a size nor a file system to size it by",
        ),
        (
            gpt(&json!([partition(1, esp)])),
            "sizing partition 1: it needs a size: it has no content to go by",
        ),
        (
            small,
            "the partitions need 17842688 bytes, but the disk has 8388608",
        ),
        (
            bad_uuid,
            "reading partition 1: a GPT partition needs a `uuid`",
        ),
        (
            no_bios_partition,
            "installing GRUB for BIOS: GRUB for BIOS needs a BIOS boot partition on a GPT disk: one of type \
             21686148-6449-6E6F-744E-656564454649",
        ),
        (
            gpt(&json!([partition(1, ext4("/srv", ROOT_UUID))])),
            "finding the directory of the tree to mount `/srv` on",
        ),
    ] {
        let (test, _) = test_with(options);
        let ran = test.run();
        let error = ran.error();
        assert!(error.contains(expected), "{error}");
    }
}
