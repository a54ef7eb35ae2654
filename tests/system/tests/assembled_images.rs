//! Disk images made by the assembler `org.osbuild.qemu` from manifests of format 1, booted under BIOS and UEFI.
//!
//! Stages of format 1 have no inputs, so they can not install Debian's packages. The system is therefore built first, as
//! `samples/debian.yaml` says, and a stage of a library directory unpacks it: the rest is a manifest of format 1.
//!
//! `OSBUILD_BINARY` names the program.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "the helpers of these tests are test code, too"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use osbuild_testing::boot::{BootedImage, Firmware};
use osbuild_testing::needs;
use serde_json::{Value, json};

/// What `samples/debian.yaml` says.
const USER: &str = "demo";
const PASSWORD: &str = "osbuild";
const MIB: u64 = 1 << 20;
const DISK: u64 = 1536 * MIB;
/// In sectors of 512 bytes.
const ESP_SIZE: u64 = 64 * MIB / 512;
const UNPACK: &str = "#!/bin/sh\n\
    exec tar --acls --selinux --xattrs --xattrs-include='*' --numeric-owner \
    -xf /run/osbuild/lib/system.tar -C /run/osbuild/tree\n";

/// The system to assemble, and what its menu expects of its disk.
struct System {
    directory: PathBuf,
    root_uuid: String,
    esp_serial: String,
}

/// One partition, an MBR, and GRUB before it: the short form of the options.
#[test]
fn a_disk_with_an_mbr_boots_under_bios() {
    needs![
        root,
        tool("qemu-system-x86_64"),
        tool("qemu-img"),
        tool("grub-mkimage")
    ];
    let system = system();
    let options = json!({
        "format": "qcow2", "qcow2_compression": "zstd", "filename": "disk.qcow2", "ptuuid": "0x14fc63d2",
        "size": DISK, "root_fs_uuid": system.root_uuid
    });
    // No partition for UEFI, so no line for it.
    let root = json!({"uuid": system.root_uuid, "path": "/", "vfs_type": "ext4"});
    let fstab = json!({"name": "org.osbuild.fstab", "options": {"filesystems": [root]}});
    let image = assemble(system, "bios", &[fstab], &options);
    boots(&image, Firmware::Bios);
}

/// A disk that boots either way; under UEFI the firmware starts what is in the partition of FAT.
#[test]
fn a_disk_with_a_gpt_boots_under_uefi_and_bios() {
    needs![
        root,
        tool("qemu-system-x86_64"),
        tool("qemu-img"),
        tool("grub-mkimage")
    ];
    let system = system();
    let esp = json!({
        "type": "vfat", "uuid": system.esp_serial, "label": "ESP", "mountpoint": "/boot/efi"
    });
    let root =
        json!({"type": "ext4", "uuid": system.root_uuid, "label": "root", "mountpoint": "/"});
    let options = json!({
        "format": "vmdk", "filename": "disk.vmdk", "size": DISK,
        "pttype": "gpt", "ptuuid": "0dbe2fdf-7679-5bd8-a479-47a366004b43", "bootloader": {"type": "grub2"},
        "partitions": [
            {"type": "21686148-6449-6E6F-744E-656564454649", "size": 2048},
            {"type": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "size": ESP_SIZE, "filesystem": esp},
            {"type": "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", "filesystem": root},
        ]
    });
    let image = assemble(system, "uefi", &[], &options);
    // The machine takes raw and qcow2.
    let converted = image.with_extension("qcow2");
    run(Command::new("qemu-img")
        .args(["convert", "-O", "qcow2"])
        .args([&image, &converted]));
    boots(&converted, Firmware::Uefi);
    boots(&converted, Firmware::Bios);
}

fn boots(image: &Path, firmware: Firmware) {
    let mut machine = BootedImage::boot(image, firmware).unwrap();
    machine.login(USER, PASSWORD).unwrap();
    eprintln!("{firmware:?}: logged in after {:.0?}", machine.uptime());
    assert_eq!(machine.read("systemctl --failed --no-legend").unwrap(), "");
    assert_eq!(machine.read("hostname").unwrap(), "assembled");
    let is_uefi = machine.run("test -d /sys/firmware/efi").unwrap().status == 0;
    assert_eq!(is_uefi, firmware == Firmware::Uefi);
    let console = machine.console_text();
    for trouble in ["Kernel panic", "EXT4-fs error", "FAILED"] {
        assert!(!console.contains(trouble), "{trouble}:\n{console}");
    }
}

/// Builds a manifest of format 1 with further stages, and returns the image.
fn assemble(system: &System, name: &str, stages: &[Value], options: &Value) -> PathBuf {
    let directory = &system.directory;
    let mut all = vec![
        json!({"name": "test.unpack"}),
        json!({"name": "org.osbuild.hostname", "options": {"hostname": "assembled"}}),
    ];
    all.extend_from_slice(stages);
    let assembler = json!({"name": "org.osbuild.qemu", "options": options});
    let manifest = json!({"pipeline": {"stages": all, "assembler": assembler}});
    let file = directory.join(format!("{name}.json"));
    fs_err::write(&file, manifest.to_string()).unwrap();
    let output = directory.join(name);
    run(Command::new(binary())
        .arg("--quiet")
        .arg("--libdir")
        .arg(directory.join("library"))
        .arg("--store")
        .arg(directory.join("store"))
        .args(["--export", "assembler", "--output-directory"])
        .arg(&output)
        .arg(file));
    output
        .join("assembler")
        .join(options["filename"].as_str().unwrap())
}

/// Builds the system, once for all tests; it stays in cargo's directory for the next time.
fn system() -> &'static System {
    static SYSTEM: OnceLock<System> = OnceLock::new();
    SYSTEM.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("assembled");
        let stages = directory.join("library/stages");
        fs_err::create_dir_all(&stages).unwrap();
        let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/debian.yaml");
        let store = directory.join("store");
        let text = run(Command::new(binary())
            .arg("manifest")
            .arg(recipe)
            .arg("--store")
            .arg(&store));
        let mut manifest: Value = serde_json::from_str(&text).unwrap();
        let (root_uuid, esp_serial) = disk_identities(&manifest);
        archive_instead_of_disk(&mut manifest);
        let file = directory.join("system.json");
        fs_err::write(&file, manifest.to_string()).unwrap();
        run(Command::new(binary())
            .args([
                "--quiet",
                "--checkpoint",
                "os",
                "--export",
                "archive",
                "--store",
            ])
            .arg(&store)
            .arg("--output-directory")
            .arg(&directory)
            .arg(file));
        let archive = directory.join("library/system.tar");
        fs_err::rename(directory.join("archive/system.tar"), archive).unwrap();
        let module = stages.join("test.unpack");
        fs_err::write(&module, UNPACK).unwrap();
        fs_err::set_permissions(&module, PermissionsExt::from_mode(0o755)).unwrap();
        let meta = json!({
            "summary": "Unpack the system", "description": ["It is in the library directory."],
            "capabilities": ["CAP_MAC_ADMIN"], "schema": {"additionalProperties": false}
        });
        fs_err::write(stages.join("test.unpack.meta.json"), meta.to_string()).unwrap();
        System {
            directory,
            root_uuid,
            esp_serial,
        }
    })
}

/// The identities of the file systems that the boot menu and `/etc/fstab` of the system name.
fn disk_identities(manifest: &Value) -> (String, String) {
    let stages = pipeline(manifest, "os")["stages"].as_array().unwrap();
    let fstab = stages
        .iter()
        .find(|stage| stage["type"] == "org.osbuild.fstab");
    let entries = fstab.unwrap()["options"]["filesystems"].as_array().unwrap();
    let uuid = |path: &str| {
        let entry = entries.iter().find(|entry| entry["path"] == path);
        entry.unwrap()["uuid"].as_str().unwrap().to_owned()
    };
    (uuid("/"), uuid("/boot/efi"))
}

fn pipeline<'a>(manifest: &'a Value, name: &str) -> &'a Value {
    let pipelines = manifest["pipelines"].as_array().unwrap();
    pipelines.iter().find(|one| one["name"] == name).unwrap()
}

/// Packs the system in place of the disk image that the recipe wants. The assembler looks for GRUB where Fedora has it.
fn archive_instead_of_disk(manifest: &mut Value) {
    let pipelines = manifest["pipelines"].as_array_mut().unwrap();
    pipelines.retain(|pipeline| pipeline["name"] == "build" || pipeline["name"] == "os");
    let link = json!({"target": "grub", "link_name": "tree:///boot/grub2", "symbolic": true});
    let system = pipelines
        .iter_mut()
        .find(|one| one["name"] == "os")
        .unwrap();
    let stages = system["stages"].as_array_mut().unwrap();
    stages.push(json!({"type": "org.osbuild.ln", "options": {"paths": [link]}}));
    let tree = json!({
        "type": "org.osbuild.tree", "origin": "org.osbuild.pipeline", "references": ["name:os"]
    });
    pipelines.push(json!({"name": "archive", "stages": [{
        "type": "org.osbuild.tar",
        "options": {"filename": "system.tar", "numeric-owner": true},
        "inputs": {"tree": tree},
    }]}));
}

fn binary() -> std::ffi::OsString {
    std::env::var_os("OSBUILD_BINARY")
        .expect("OSBUILD_BINARY names the program; `make system` sets it")
}

/// Runs a program that must succeed; returns what it printed.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
