//! The demonstration image, built by the program and booted under BIOS and UEFI; the next release's as well.
//!
//! `OSBUILD_BINARY` names the program; `OSBUILD_BOOT_IMAGE` names an image of the sample made before, to be booted
//! instead of a new one.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "the helpers of these tests are test code, too"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use osbuild_system_tests::{BootedImage, Firmware};
use osbuild_testing::needs;

/// What `samples/debian.yaml` says.
const HOST_NAME: &str = "debian";
const USER: &str = "demo";
const PASSWORD: &str = "osbuild";

#[test]
fn the_image_boots_under_bios() {
    needs![root, tool("qemu-system-x86_64"), tool("bwrap")];
    boots(image(), Firmware::Bios);
}

#[test]
fn the_image_boots_under_uefi() {
    needs![root, tool("qemu-system-x86_64"), tool("bwrap")];
    boots(image(), Firmware::Uefi);
}

/// A newer kernel, initramfs-tools, systemd and GRUB; from the mirrors that apt has for this machine's own release.
#[test]
fn the_next_release_boots_under_uefi() {
    needs![root, tool("qemu-system-x86_64"), tool("bwrap")];
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("boot-trixie");
    let sample = fs_err::read_to_string(sample()).unwrap();
    let recipe = sample.replace("release: bookworm", "release: trixie");
    assert_ne!(recipe, sample);
    fs_err::create_dir_all(&directory).unwrap();
    fs_err::write(directory.join("debian.yaml"), recipe).unwrap();
    let image = build(&directory.join("debian.yaml"), &directory);
    boots(&image, Firmware::Uefi);
}

fn boots(image: &Path, firmware: Firmware) {
    let mut machine = BootedImage::boot(image, firmware).unwrap();
    machine.login(USER, PASSWORD).unwrap();
    eprintln!("{firmware:?}: logged in after {:.0?}", machine.uptime());
    // Waits until nothing is being started any more.
    assert_eq!(
        machine.read("systemctl is-system-running --wait").unwrap(),
        "running"
    );
    assert_eq!(machine.read("systemctl --failed --no-legend").unwrap(), "");
    assert_eq!(
        machine
            .read("systemctl is-active multi-user.target")
            .unwrap(),
        "active"
    );
    assert_eq!(machine.read("hostname").unwrap(), HOST_NAME);
    assert_eq!(machine.read("id -un").unwrap(), USER);
    assert_eq!(
        machine
            .read("id -Gn")
            .unwrap()
            .split(' ')
            .filter(|group| *group == "adm")
            .count(),
        1
    );
    assert_eq!(
        machine.read("getent passwd demo | cut -d: -f5,7").unwrap(),
        "Demo User:/bin/bash"
    );
    let network = machine
        .read("cat /etc/systemd/network/80-wired.network")
        .unwrap();
    assert_eq!(network, "[Match]\nType=ether\n\n[Network]\nDHCP=yes");
    assert_eq!(
        machine
            .read("systemctl is-active ssh systemd-networkd")
            .unwrap(),
        "active\nactive"
    );
    let is_uefi = machine.run("test -d /sys/firmware/efi").unwrap().status == 0;
    assert_eq!(is_uefi, firmware == Firmware::Uefi);
    assert_eq!(machine.read("findmnt -no FSTYPE /").unwrap(), "ext4");
    let console = machine.console_text();
    for trouble in ["Kernel panic", "EXT4-fs error", "FAILED"] {
        assert!(!console.contains(trouble), "{trouble}:\n{console}");
    }
    eprintln!("{firmware:?}: all checked after {:.0?}", machine.uptime());
}

/// Builds the image, once for all tests; store and image stay in cargo's directory for the next time.
fn image() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| match std::env::var_os("OSBUILD_BOOT_IMAGE") {
        Some(path) => PathBuf::from(path),
        None => build(
            &sample(),
            &Path::new(env!("CARGO_TARGET_TMPDIR")).join("boot"),
        ),
    })
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/debian.yaml")
}

fn build(recipe: &Path, directory: &Path) -> PathBuf {
    let binary = std::env::var_os("OSBUILD_BINARY")
        .expect("OSBUILD_BINARY names the program; `make system` sets it");
    let (output, store) = (directory.join("out"), directory.join("store"));
    let started = std::time::Instant::now();
    let mut command = Command::new(binary);
    command
        .arg("build")
        .arg(recipe)
        .arg("--output")
        .arg(&output)
        .arg("--store")
        .arg(store);
    let ran = command.output().unwrap();
    let text = [ran.stdout, ran.stderr].concat();
    assert!(
        ran.status.success(),
        "building the image failed:\n{}",
        String::from_utf8_lossy(&text)
    );
    eprintln!("built in {:.0?}", started.elapsed());
    output.join("debian.qcow2")
}
