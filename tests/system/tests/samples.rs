//! The sample recipes, built by the program with packages of the host's mirrors; their disks are booted.
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

use osbuild_testing::boot::{BootedImage, Firmware};
use osbuild_testing::needs;

/// What `samples/debian.yaml` says.
const HOST_NAME: &str = "debian";
const USER: &str = "demo";
const PASSWORD: &str = "osbuild";
const PASSWORD_HASH: &str = "$6$osbuilddemo$dHUGdY4NZzeIDT19Ek.3lYPVzBPDEeLDWhoUFKQrkNkLQ.NB3SyDHGdA.nrcmODmwi3azz5tWgRJidnqZ/aaV1";

/// Partitions of fixed sizes, swap, many packages, files with owners; reached by key only, so that the test adds a
/// password. Takes longest; as tests are begun in the order of their names, this one is the first.
#[test]
fn a_server_serves() {
    needs![root, tool("qemu-system-x86_64"), tool("bwrap")];
    let password = format!("sudo: without-password\n    password: '{PASSWORD_HASH}'");
    let recipe = variant("server.yaml", "sudo: without-password", &password);
    let output = build(&recipe, "server");
    assert!(output.join("web.img.zst").exists());
    let mut machine = BootedImage::boot(&output.join("web.qcow2"), Firmware::Bios).unwrap();
    machine.login("deploy", PASSWORD).unwrap();
    let mut read = |command: &str| machine.read(command).unwrap();
    assert_eq!(read("systemctl is-system-running --wait"), "running");
    assert_eq!(read("systemctl --failed --no-legend"), "");
    assert_eq!(read("hostname"), "web-1.example.org");
    assert_eq!(
        read("cat /etc/timezone; date +%Z | tr -d T"),
        "Europe/Berlin\nCE"
    );
    assert_eq!(read("echo $LANG"), "en_GB.UTF-8");
    assert_eq!(read("systemctl is-active nginx ssh"), "active\nactive");
    assert_eq!(
        read("systemctl is-enabled ctrl-alt-del.target || true"),
        "masked"
    );
    assert_eq!(read("id -Gn"), "deploy adm content");
    assert_eq!(read("sudo -n id -u"), "0");
    assert_eq!(
        read("stat -c '%a %U %G' /srv/www /srv/www/index.html"),
        "2775 root content\n644 root content"
    );
    assert_eq!(
        read("findmnt -no FSTYPE /; findmnt -no FSTYPE,OPTIONS /srv | grep -oE 'ext4|noatime'"),
        "ext4\next4\nnoatime"
    );
    assert_eq!(read("/usr/sbin/swapon --noheadings --show=SIZE"), "512M");
    assert_eq!(read("wc -l <~/.ssh/authorized_keys"), "1");
    assert_eq!(read("sudo -n dpkg --audit"), "");
}

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
    let recipe = variant("debian.yaml", "release: bookworm", "release: trixie");
    let image = build(&recipe, "trixie").join("debian.qcow2");
    boots(&image, Firmware::Uefi);
}

#[test]
fn the_container_is_a_root_file_system() {
    needs![root, tool("bwrap"), tool("tar"), tool("zstd")];
    let output = build(&sample("container.yaml"), "container");
    let folder = tempfile::tempdir().unwrap();
    let ran = Command::new("tar")
        .args(["--zstd", "--numeric-owner", "-xpf"])
        .arg(output.join("debian-rootfs.tar.zst"))
        .arg("-C")
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(ran.success());
    let said = Command::new("chroot")
        .arg(folder.path())
        .args(["/bin/sh", "-c", "dpkg --audit && dpkg --verify && . /etc/os-release && echo $VERSION_CODENAME && ls -d /etc/ssl/certs/ca-certificates.crt"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&said.stdout),
        "bookworm\n/etc/ssl/certs/ca-certificates.crt\n"
    );
    assert!(said.status.success());
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
    assert_eq!(machine.read("id -un; pwd").unwrap(), "demo\n/home/demo");
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

/// Builds the sample, once for all tests.
fn image() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| match std::env::var_os("OSBUILD_BOOT_IMAGE") {
        Some(path) => PathBuf::from(path),
        None => build(&sample("debian.yaml"), "debian").join("debian.qcow2"),
    })
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../samples")
        .join(name)
}

/// A sample with another text in place of one, beside the files that samples name.
fn variant(name: &str, from: &str, to: &str) -> PathBuf {
    let text = fs_err::read_to_string(sample(name)).unwrap();
    let changed = text
        .replacen(from, to, 1)
        .replace("source: ", &format!("source: {}/", sample("").display()));
    assert!(text.contains(from), "{name} has no {from}");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("variants");
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::write(folder.join(name), changed).unwrap();
    folder.join(name)
}

/// Builds a recipe and returns the folder of its outputs, which stays in cargo's directory like the store.
fn build(recipe: &Path, name: &str) -> PathBuf {
    let binary = std::env::var_os("OSBUILD_BINARY")
        .expect("OSBUILD_BINARY names the program; `make system` sets it");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("samples");
    let output = directory.join(name);
    let started = std::time::Instant::now();
    let mut command = Command::new(binary);
    command
        .arg("build")
        .arg(recipe)
        .arg("--output")
        .arg(&output)
        .arg("--store")
        .arg(directory.join("store"));
    let ran = command.output().unwrap();
    let text = [ran.stdout, ran.stderr].concat();
    assert!(
        ran.status.success(),
        "building {} failed:\n{}",
        recipe.display(),
        String::from_utf8_lossy(&text)
    );
    eprintln!("{name}: built in {:.0?}", started.elapsed());
    output
}
