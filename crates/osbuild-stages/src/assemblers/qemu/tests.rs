use super::*;
use osbuild_stage_api::testing::StageTest;
use osbuild_testing::needs;
use serde_json::json;

const ROOT: &str = "a957573a-f432-4bed-a0bc-e541bddf8579";
const LINUX: &str = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";
const MIB: u64 = 1 << 20;
/// Sectors of a MiB.
const SECTORS: u64 = MIB / SECTOR;

/// Leaves a core image of 1024 bytes where `--output` says.
const MKIMAGE: &str = r#"while [ "$1" != --output ]; do shift; done; printf %01024d 0 >"$2""#;

fn short(format: &str) -> Value {
    json!({
        "format": format, "filename": "disk.img", "ptuuid": "0x14fc63d2", "size": 24 * MIB, "root_fs_uuid": ROOT
    })
}

fn gpt(partitions: &Value) -> Value {
    json!({
        "format": "raw", "filename": "disk.img", "ptuuid": "d209c89e-ea5e-4fbd-b161-b461cce297e0",
        "size": 64 * MIB, "pttype": "gpt", "partitions": partitions
    })
}

fn root(kind: &str) -> Value {
    json!({"type": LINUX, "filesystem": {"type": kind, "uuid": ROOT, "mountpoint": "/"}})
}

fn test_with(options: Value) -> StageTest {
    StageTest::new(&ASSEMBLER, options).input(
        "tree",
        &[("etc/hostname", b"here\n"), ("boot/vmlinuz", b"kernel")],
        Value::Null,
    )
}

/// Stands in for every program; what they would write is not there.
fn without_programs(options: Value, table: &Value) -> StageTest {
    let table = json!({"partitiontable": table});
    let sfdisk = format!("[ \"$1\" = --json ] && echo '{table}' || cat");
    ["mkfs.btrfs", "qemu-img", "xz", "zipl"]
        .into_iter()
        .fold(test_with(options), |test, program| {
            test.program(program, "")
        })
        .program("sfdisk", &sfdisk)
        .program("grub2-mkimage", MKIMAGE)
}

fn one_partition(kind: &str) -> Value {
    json!({"partitions": [{"start": 2048, "size": 2048, "type": kind}]})
}

/// The log with one name for every temporary directory.
fn log_of(test: &StageTest) -> String {
    let log = test.run().success().log;
    let words = log.split(' ').map(|word| {
        let (word, end) = word
            .strip_suffix('\n')
            .map_or((word, ""), |word| (word, "\n"));
        let name = match word.rsplit_once('/') {
            Some((_, "grub2-core.img")) => "CORE",
            Some((_, "disk.raw")) => "IMAGE",
            _ => word,
        };
        format!("{name}{end}")
    });
    words.collect::<Vec<_>>().join(" ")
}

fn shell(test: &StageTest, script: &str) -> String {
    let command = test.context().command("sh").args(["-ec", script]);
    let output = command.current_dir(test.tree()).read();
    String::from_utf8(output.unwrap()).unwrap()
}

#[test]
fn formats_become_arguments() {
    for (format, more, expected) in [
        ("qcow2", json!({}), "-O qcow2 -c"),
        (
            "qcow2",
            json!({"qcow2_compat": "1.1", "qcow2_compression": "zstd"}),
            "-O qcow2 -c -o compat=1.1 -o compression_type=zstd",
        ),
        ("vdi", json!({}), "-O vdi"),
        ("vhdx", json!({}), "-O vhdx"),
        ("vmdk", json!({}), "-O vmdk -c"),
        (
            "vmdk",
            json!({"vmdk_subformat": "streamOptimized"}),
            "-O vmdk -c -o subformat=streamOptimized",
        ),
        (
            "vpc",
            json!({"qcow2_compat": "1.1"}),
            "-O vpc -o subformat=fixed,force_size",
        ),
    ] {
        let mut options = gpt(&json!([]));
        options["format"] = json!(format);
        for (name, value) in more.as_object().unwrap() {
            options[name] = value.clone();
        }
        let test = without_programs(options, &json!({}));
        let last = format!("$ qemu-img convert {expected} IMAGE TREE/disk.img\n");
        let log = log_of(&test);
        assert!(log.ends_with(&last), "{log}");
    }
}

#[test]
fn xz_tries_as_hard_as_asked() {
    for (level, expected) in [(Value::Null, "-0"), (json!(6), "-6")] {
        let mut options = gpt(&json!([]));
        options["format"] = json!("raw.xz");
        options["xz_level"] = level;
        let log = log_of(&without_programs(options, &json!({})));
        let last = format!("$ xz --keep --stdout {expected} IMAGE\n");
        assert!(log.ends_with(&last), "{log}");
    }
}

#[test]
fn the_short_form_is_one_bootable_partition_with_grub() {
    let mut options = short("raw");
    options["root_fs_type"] = json!("btrfs");
    let test = without_programs(options, &one_partition("83"));
    assert_eq!(
        without_mkfs(&log_of(&test)),
        "label: dos\nlabel-id: 0x14fc63d2\ntype=\"83\", bootable\n\
         $ sfdisk -q TREE/disk.img\n\
         label: dos\nlabel-id: 0x14fc63d2\ntype=\"83\", bootable\
         $ sfdisk --json TREE/disk.img\n\
         grub2 prefix msdos1\n\
         $ grub2-mkimage --verbose --directory /usr/lib/grub/i386-pc --prefix '(,msdos1)/boot/grub2' \
         --format i386-pc --compression auto --output CORE biosdisk part_msdos btrfs\n"
    );
}

fn without_mkfs(log: &str) -> String {
    let lines = log.split_inclusive('\n');
    lines.filter(|line| !line.starts_with("$ mkfs.")).collect()
}

#[test]
fn open_firmware_gets_the_core_image_alone() {
    let prep = json!({"type": "9e1a2d38-c612-4316-aa26-8b49521e5a8b"});
    let mut options = gpt(&json!([prep, {"type": LINUX, "filesystem": {
        "type": "btrfs", "uuid": ROOT, "mountpoint": "/boot"
    }}]));
    options["bootloader"] = json!({"type": "grub2", "platform": "powerpc-ieee1275"});
    let table = json!({"partitions": [
        {"start": 2048, "size": 8, "type": "9E1A2D38-C612-4316-AA26-8B49521E5A8B"},
        {"start": 4096, "size": 2048, "type": LINUX},
    ]});
    let test = without_programs(options, &table);
    let log = log_of(&test);
    assert!(
        log.contains(
            "$ grub2-mkimage --verbose --directory /usr/lib/grub/powerpc-ieee1275 --prefix '(,gpt2)/grub2' \
             --format powerpc-ieee1275 --compression auto --output CORE part_gpt btrfs\n"
        ),
        "{log}"
    );
    let image = fs_err::read(test.path("disk.img")).unwrap();
    assert_eq!(image[..MIB as usize], vec![0; MIB as usize]);
    assert_eq!(image[MIB as usize..][..1024], [b'0'; 1024]);
}

#[test]
fn what_grub_has_no_place_for_is_refused() {
    let btrfs = root("btrfs");
    for (partitions, bootloader, table, expected) in [
        (
            json!([btrfs]),
            json!({"type": "grub2"}),
            one_partition(LINUX),
            "ValueError: installing GRUB: BIOS-boot partition missing",
        ),
        (
            json!([btrfs]),
            json!({"type": "grub2", "platform": "powerpc-ieee1275"}),
            one_partition(LINUX),
            "ValueError: installing GRUB: PrEP partition missing",
        ),
        (
            json!([{"type": LINUX}]),
            json!({"type": "grub2"}),
            one_partition(LINUX),
            "RuntimeError: installing GRUB: Failed to find boot_part",
        ),
        (
            json!([root("vfat")]),
            json!({"type": "grub2"}),
            one_partition(LINUX),
            "ValueError: installing GRUB: unknown boot filesystem type: 'vfat'",
        ),
        (
            json!([btrfs]),
            json!({}),
            one_partition(LINUX),
            "KeyError: 'type'",
        ),
        (
            json!([btrfs, btrfs]),
            Value::Null,
            one_partition(LINUX),
            "AssertionError: the table has 1 partitions, not 2",
        ),
    ] {
        let mut options = gpt(&partitions);
        options["bootloader"] = bootloader;
        let test = without_programs(options, &table);
        assert_eq!(test.run().error(), expected);
    }
}

#[test]
fn a_core_image_that_does_not_fit_the_gap_is_refused() {
    let mut options = short("raw");
    options["root_fs_type"] = json!("btrfs");
    let table = json!({"partitions": [{"start": 2, "size": 2048, "type": "83"}]});
    let test = without_programs(options, &table);
    assert_eq!(
        test.run().error(),
        "ValueError: installing GRUB: GRUB's core image has 1024 bytes, but there is room for 512"
    );
}

#[test]
fn sizes_and_mount_points_must_make_sense() {
    let mut options = short("raw");
    options["size"] = json!(513);
    assert_eq!(
        test_with(options).run().error(),
        "ValueError: `size` must be a multiple of sector size (512)"
    );
    let options = gpt(&json!([root("btrfs"), root("btrfs")]));
    let table = json!({"partitions": [
        {"start": 2048, "size": 2048, "type": LINUX}, {"start": 4096, "size": 2048, "type": LINUX}
    ]});
    assert_eq!(
        without_programs(options, &table).run().error(),
        "ValueError: two file systems are to be mounted on `/`"
    );
}

#[test]
fn a_bios_disk_has_its_boot_code_and_its_system() {
    needs![
        tool("sfdisk"),
        tool("mkfs.ext4"),
        tool("grub-mkimage"),
        tool("debugfs")
    ];
    let test = test_with(short("raw"));
    let _ = test.run().success();
    let image = fs_err::read(test.path("disk.img")).unwrap();
    let boot = fs_err::read("/usr/lib/grub/i386-pc/boot.img").unwrap();
    assert_eq!(image[..0x5c], boot[..0x5c]);
    assert_eq!(image[0x5c..0x64], 1u64.to_le_bytes());
    assert!(image[512..1024].iter().any(|byte| *byte != 0), "core image");
    assert_eq!(
        shell(
            &test,
            "sfdisk --verify disk.img; sfdisk -lqo Boot,Start,Id disk.img"
        ),
        "disk.img:\nNo errors detected.\nBoot Start Id\n*     2048 83\n"
    );
    let offset = 2048 * SECTOR;
    let script = format!(
        "dd if=disk.img of=part bs={offset} skip=1 conv=sparse status=none; fsck.ext4 -fn part >&2; \
         debugfs -R 'cat /etc/hostname' part; blkid -s UUID -o value part"
    );
    assert_eq!(shell(&test, &script), format!("here\n{ROOT}\n"));
}

#[test]
fn each_file_system_gets_its_part_of_the_tree() {
    needs![
        root,
        tool("sfdisk"),
        tool("mkfs.ext4"),
        tool("mcopy"),
        tool("fsck.fat")
    ];
    let esp =
        json!({"type": "vfat", "uuid": "7B77-95E7", "label": "ESP", "mountpoint": "/boot/efi"});
    let boot = json!({
        "type": "ext4", "uuid": "0ae8e5c2-3f40-4f4e-9a0c-9b1d6e2cf001", "label": "boot", "mountpoint": "/boot"
    });
    // Inner mount points first: the order on the disk says nothing.
    let options = gpt(&json!([
        {"type": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "size": 8 * SECTORS, "name": "esp", "filesystem": esp},
        {"type": LINUX, "size": 16 * SECTORS, "filesystem": boot},
        root("ext4"),
    ]));
    let test = test_with(options);
    // `/boot/efi` is not in the tree.
    let _ = test.run().success();
    let cut = |name: &str, start: u64, size: u64| {
        format!(
            "dd if=disk.img of={name} bs={MIB} skip={start} count={size} conv=sparse status=none\n"
        )
    };
    let script = cut("esp", 1, 8)
        + &cut("boot", 9, 16)
        + &cut("root", 25, 38)
        + "sfdisk --verify disk.img >&2\n\
           fsck.fat -n esp >&2; fsck.ext4 -fn boot >&2; fsck.ext4 -fn root >&2\n\
           for i in boot root; do echo $i; debugfs -R 'ls -p /' $i | cut -d/ -f6 | sort | xargs; done\n\
           debugfs -R 'cat /vmlinuz' boot; echo; debugfs -R 'ls -p /boot' root | cut -d/ -f6 | xargs\n\
           blkid -o value -s LABEL esp; blkid -o value -s LABEL boot\n";
    assert_eq!(
        shell(&test, &script),
        "boot\n. .. efi lost+found vmlinuz\nroot\n. .. boot etc lost+found\nkernel\n. ..\nESP\nboot\n"
    );
}
