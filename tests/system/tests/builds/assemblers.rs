//! Images of the assemblers, made from manifests of format 1 and looked at with tools that are not ours.

use std::process::Command;

use osbuild_testing::needs;
use osbuild_testing::tree::describe;
use serde_json::{Value, json};

use crate::workplace::{Ran, Workplace};

const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;
/// Sectors of a MiB.
const SECTORS: u64 = MIB / SECTOR;
const ROOT: &str = "a957573a-f432-4bed-a0bc-e541bddf8579";
const BOOT: &str = "0ae8e5c2-3f40-4f4e-9a0c-9b1d6e2cf001";
const LINUX: &str = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";
const BIOS_BOOT: &str = "21686148-6449-6E6F-744E-656564454649";
const ESP: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";

/// A tree with everything that a file system can lose: modes, links of both kinds, holes, a second file system's part.
fn stages() -> Value {
    let paths = json!([
        {"path": "/etc"}, {"path": "/boot"}, {"path": "/boot/grub2"}, {"path": "/srv", "mode": 1472}
    ]);
    let links = json!([
        {"target": "../etc/hostname", "link_name": "tree:///srv/symbolic", "symbolic": true},
        {"target": "/srv/sparse", "link_name": "tree:///srv/hard"},
    ]);
    json!([
        {"name": "org.osbuild.mkdir", "options": {"paths": paths}},
        {"name": "org.osbuild.hostname", "options": {"hostname": "assembled"}},
        {"name": "org.osbuild.truncate", "options": {"filename": "/srv/sparse", "size": "3000001"}},
        {"name": "org.osbuild.truncate", "options": {"filename": "/boot/vmlinuz", "size": "1000"}},
        {"name": "org.osbuild.chmod", "options": {"items": {"/srv/sparse": {"mode": "4751"}}}},
        {"name": "org.osbuild.ln", "options": {"paths": links}},
    ])
}

/// Assembles the tree; the tree itself is exported as well.
#[track_caller]
fn assemble(workplace: &Workplace, name: &str, options: &Value) {
    let assembler = json!({"name": name, "options": options});
    let manifest = json!({"pipeline": {"stages": stages(), "assembler": assembler}});
    workplace.write("image.json", manifest.to_string());
    let mut command = workplace.command(&["image.json", "--store", "store", "--quiet"]);
    command.args(["--export", "tree", "--export", "assembler"]);
    command.args(["--output-directory", "out"]);
    assert_eq!(workplace.run(command), Ran::silent());
}

/// Runs a script in the folder, with mounts of its own; it must succeed.
#[track_caller]
fn script(workplace: &Workplace, script: &str) -> String {
    let output = Command::new("unshare")
        .args(["--mount", "bash", "-euo", "pipefail", "-c", script])
        .current_dir(workplace.path("."))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{script}\n{stdout}{stderr}");
    stdout
}

#[test]
fn the_sample_of_a_bare_file_system_is_one() {
    needs![root, tool("mkfs.ext4"), tool("e2fsck"), tool("debugfs")];
    let workplace = Workplace::new();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/rawfs.json");
    workplace.write("image.json", fs_err::read(sample).unwrap());
    let ran = workplace.run(workplace.build_command("image.json"));
    assert_eq!(ran, Ran::silent());
    let look = "e2fsck -fn out/image.raw >&2; debugfs -R 'cat /etc/hostname' out/image.raw";
    assert_eq!(script(&workplace, look), "rawfs\n");
}

/// A script that fails unless a part of an image holds a part of the tree: content, modes, owners, times, links.
fn same_as_tree(
    (image, kind): (&str, &str),
    start: u64,
    size: u64,
    folder: &str,
    without: &str,
) -> String {
    // What `mkfs.ext4` and `mkfs.btrfs` fill has times of whole seconds, as this format has.
    let format = if kind == "xfs" { "posix" } else { "gnu" };
    format!(
        "mkdir -p mnt; mount -o ro,loop,offset={start},sizelimit={size} {image} mnt\n\
         (cd out/tree/{folder}; tar --format={format} --exclude='{without}' -cf - -- *) >part.tar\n\
         tar -C mnt -df part.tar; tar -tf part.tar | wc -l; umount mnt; rm part.tar\n"
    )
}

fn disk(format: &str) -> Value {
    json!({
        "format": format, "filename": "disk", "ptuuid": "0x14fc63d2", "size": 48 * MIB, "root_fs_uuid": ROOT
    })
}

fn gpt(size: u64, partitions: &Value) -> Value {
    json!({
        "format": "raw", "filename": "disk", "ptuuid": "d209c89e-ea5e-4fbd-b161-b461cce297e0",
        "size": size, "pttype": "gpt", "partitions": partitions
    })
}

#[test]
fn a_tar_archive_equals_the_tree() {
    needs![root];
    let workplace = Workplace::new();
    assemble(
        &workplace,
        "org.osbuild.tar",
        &json!({"filename": "tree.tar.gz", "compression": "gzip"}),
    );
    let members = script(
        &workplace,
        "tar -C out/tree -df out/assembler/tree.tar.gz; tar -tf out/assembler/tree.tar.gz | sort",
    );
    assert_eq!(
        members,
        "./\n./boot/\n./boot/grub2/\n./boot/vmlinuz\n./etc/\n./etc/hostname\n./srv/\n./srv/hard\n./srv/sparse\n\
         ./srv/symbolic\n"
    );
}

#[test]
fn a_file_system_holds_the_tree() {
    needs![
        root,
        tool("mkfs.ext4"),
        tool("mkfs.xfs"),
        tool("mkfs.btrfs"),
        kernel_filesystem("xfs"),
        kernel_filesystem("btrfs")
    ];
    for (kind, size, check) in [
        ("ext4", 40 * MIB, "fsck.ext4 -fn"),
        ("xfs", 320 * MIB, "xfs_repair -n -f"),
        ("btrfs", 128 * MIB, "btrfs check --readonly"),
    ] {
        let workplace = Workplace::new();
        let options =
            json!({"filename": "root.img", "root_fs_uuid": ROOT, "size": size, "fs_type": kind});
        assemble(&workplace, "org.osbuild.rawfs", &options);
        let image = "out/assembler/root.img";
        let text = format!(
            "{check} {image} >check.log 2>&1 || {{ cat check.log >&2; exit 1; }}\n\
             blkid -c /dev/null -o value -s TYPE -s UUID {image}; stat -c %s {image}\n"
        ) + &same_as_tree((image, kind), 0, size, ".", "")
            // The two names of one file are still two names of one file.
            + &format!("mount -o ro,loop {image} mnt; stat -c '%h %a' mnt/srv/sparse mnt/srv/hard; umount mnt");
        assert_eq!(
            script(&workplace, &text),
            format!("{ROOT}\n{kind}\n{size}\n9\n2 4751\n2 4751\n"),
            "{kind}"
        );
    }
}

#[test]
fn every_format_of_a_disk_holds_the_tree() {
    needs![
        root,
        tool("qemu-img"),
        tool("sfdisk"),
        tool("mkfs.ext4"),
        tool("grub-mkimage")
    ];
    for (format, qemu, more, is_checked) in [
        ("raw", "raw", json!({}), false),
        ("raw.xz", "raw", json!({}), false),
        ("qcow2", "qcow2", json!({"qcow2_compat": "0.10"}), true),
        ("qcow2", "qcow2", json!({"qcow2_compression": "zstd"}), true),
        ("vdi", "vdi", json!({}), true),
        (
            "vmdk",
            "vmdk",
            json!({"vmdk_subformat": "streamOptimized"}),
            true,
        ),
        ("vhdx", "vhdx", json!({}), true),
        ("vpc", "vpc", json!({}), false),
    ] {
        let workplace = Workplace::new();
        let mut options = disk(format);
        for (name, value) in more.as_object().unwrap() {
            options[name] = value.clone();
        }
        assemble(&workplace, "org.osbuild.qemu", &options);
        assert_eq!(
            describe(&workplace.path("out/assembler"))
                .unwrap()
                .lines()
                .count(),
            1,
            "nothing but the image is left"
        );
        let image = "out/assembler/disk";
        let mut text = match format {
            "raw.xz" => format!("xz -dc {image} >raw\n"),
            _ => format!("qemu-img convert -f {qemu} -O raw {image} raw\n"),
        };
        if is_checked {
            text += &format!("qemu-img check -q -f {qemu} {image}\n");
        }
        text += &format!("truncate -s {} raw\n", 48 * MIB);
        text += "sfdisk --verify raw | grep -c 'No errors'; sfdisk -d raw | sed -n 's/.*\\(start.*\\)/\\1/p'\n";
        text += &same_as_tree(("raw", "ext4"), MIB, 47 * MIB, ".", "");
        assert_eq!(
            script(&workplace, &text),
            "1\nstart=        2048, size=       96256, type=83, bootable\n9\n",
            "{format}"
        );
    }
}

#[test]
fn compressed_formats_are_what_was_asked_for() {
    needs![
        root,
        tool("qemu-img"),
        tool("sfdisk"),
        tool("mkfs.ext4"),
        tool("grub-mkimage")
    ];
    for (more, expected) in [
        (
            json!({}),
            "\"compat\": \"1.1\", \"compression-type\": \"zlib\"",
        ),
        (
            json!({"qcow2_compat": "0.10"}),
            "\"compat\": \"0.10\", \"compression-type\": \"zlib\"",
        ),
        (
            json!({"qcow2_compression": "zstd"}),
            "\"compat\": \"1.1\", \"compression-type\": \"zstd\"",
        ),
    ] {
        let workplace = Workplace::new();
        let mut options = disk("qcow2");
        for (name, value) in more.as_object().unwrap() {
            options[name] = value.clone();
        }
        assemble(&workplace, "org.osbuild.qemu", &options);
        let text = "qemu-img info --output json out/assembler/disk | \
             grep -oE '\"(compat|compression-type)\": \"[^\"]*\"' | sort | paste -sd, | sed 's/,/, /'";
        assert_eq!(script(&workplace, text).trim_end(), expected);
    }
}

/// The layout of a machine that boots either way: each file system has its part, and no other.
#[test]
fn a_disk_for_both_kinds_of_firmware_has_every_part_in_its_place() {
    needs![
        root,
        tool("sfdisk"),
        tool("mkfs.ext4"),
        tool("mkfs.btrfs"),
        tool("mkfs.xfs"),
        tool("grub-mkimage"),
        tool("fsck.fat"),
        tool("mdir"),
        kernel_filesystem("xfs"),
        kernel_filesystem("btrfs")
    ];
    for kind in ["ext4", "xfs", "btrfs"] {
        let workplace = Workplace::new();
        let root_size = 320 * MIB;
        let mut options = gpt(
            405 * MIB,
            &json!([
                {"type": BIOS_BOOT, "size": SECTORS, "name": "bios"},
                {"type": ESP, "size": 16 * SECTORS, "uuid": "b812ed70-1111-4bed-a0bc-e541bddf8579",
                 "filesystem": {"type": "vfat", "uuid": "7B77-95E7", "label": "ESP", "mountpoint": "/boot/efi"}},
                {"type": LINUX, "size": 64 * SECTORS,
                 "filesystem": {"type": "ext4", "uuid": BOOT, "label": "boot", "mountpoint": "/boot"}},
                {"type": LINUX, "size": root_size / SECTOR, "name": "the root",
                 "filesystem": {"type": kind, "uuid": ROOT, "label": "root", "mountpoint": "/"}},
            ]),
        );
        options["bootloader"] = json!({"type": "grub2"});
        assemble(&workplace, "org.osbuild.qemu", &options);
        let image = "out/assembler/disk";
        let cut = |name: &str, start: u64, size: u64| {
            format!(
                "dd if={image} of={name} bs={MIB} skip={start} count={size} conv=sparse status=none\n"
            )
        };
        let text = format!(
            "sfdisk --verify {image} >&2; sfdisk -lqo Start,Sectors,Name {image} | tr -s ' ' | sed 's/^ //'\n"
        ) + &cut("esp", 2, 16)
            + &cut("boot", 18, 64)
            + "fsck.fat -n esp >&2; mdir -b -i esp ::/ | wc -l; fsck.ext4 -fn boot >&2\n"
            + &same_as_tree((image, "ext4"), 18 * MIB, 64 * MIB, "boot", "")
            + &same_as_tree((image, kind), 82 * MIB, root_size, ".", "boot/*")
            + &format!(
                "mount -o ro,loop,offset={},sizelimit={root_size} {image} mnt; ls -A mnt/boot | wc -l; umount mnt\n\
                 blkid -p -O {} -o value -s LABEL {image}\n",
                82 * MIB,
                82 * MIB
            );
        assert_eq!(
            script(&workplace, &text),
            "Start Sectors Name\n2048 2048 bios\n4096 32768 \n36864 131072 \n167936 655360 the root\n\
             0\n2\n7\n0\nroot\n",
            "{kind}"
        );
    }
}

#[test]
fn an_assembler_that_fails_is_told_and_nothing_is_exported() {
    needs![root, tool("sfdisk"), tool("mkfs.xfs"), tool("grub-mkimage")];
    let mut small = disk("qcow2");
    small["size"] = json!(8 * MIB);
    small["root_fs_type"] = json!("xfs");
    for (name, options, status, last) in [
        (
            "org.osbuild.error",
            json!({"returncode": 3}),
            3,
            "Error assembler will now return error: 3",
        ),
        // No XFS is so small.
        (
            "org.osbuild.qemu",
            small,
            1,
            "CalledProcessError: making the file system of partition 1",
        ),
        (
            "org.osbuild.rawfs",
            json!({"filename": "../../x/y", "root_fs_uuid": ROOT, "size": MIB}),
            1,
            "FileNotFoundError: opening",
        ),
    ] {
        let workplace = Workplace::new();
        let assembler = json!({"name": name, "options": options});
        let manifest = json!({"pipeline": {"stages": stages(), "assembler": assembler}});
        workplace.write("image.json", manifest.to_string());
        let ran = workplace.build("image.json");
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{}", ran.stderr);
        let head = format!(
            "error: stage 1 of pipeline `assembler`, `{name}`, failed with exit status {status}\n"
        );
        assert!(ran.stderr.starts_with(&head), "{}", ran.stderr);
        assert!(ran.stderr.contains(last), "{}", ran.stderr);
        assert!(!workplace.path("out").exists(), "nothing was exported");
        workplace.assert_usable();
    }
}

/// Names that stages and assemblers share mean the right one: their options differ.
#[test]
fn a_stage_and_an_assembler_of_one_name_are_told_apart() {
    needs![root];
    let workplace = Workplace::new();
    let manifest = json!({"pipeline": {
        "stages": [{"name": "org.osbuild.noop", "options": {"any": "thing"}}],
        "assembler": {"name": "org.osbuild.noop", "options": {"any": "thing"}}
    }});
    workplace.write("image.json", manifest.to_string());
    let ran = workplace.build("image.json");
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(
        ran.stderr
            .contains("Additional properties are not allowed ('any' was unexpected)"),
        "{}",
        ran.stderr
    );
}
