//! Packages that a recipe needs without naming them: for what it configures, and to make its outputs.

use crate::distribution::{Architecture, Distribution, PackageKind};
use crate::recipe::{Disk, FileSystemKind, OutputFormat, Recipe, Sudo};

mod rpm;

/// The locale that the C library brings along.
pub(crate) const BUILT_IN_LOCALE: &str = "C.UTF-8";

/// Package names of the system: the recipe's own in its order, then what the other sections imply.
pub(crate) fn system_packages(recipe: &Recipe) -> Vec<String> {
    let mut names = Vec::new();
    if recipe.package_kind() == PackageKind::Rpm {
        names.extend(rpm::base(recipe.release).map(str::to_owned));
    }
    names.extend(recipe.packages.include.iter().cloned());
    if let Some(package) = recipe
        .kernel
        .as_ref()
        .and_then(|kernel| kernel.package.clone())
    {
        names.push(package);
    }
    names.extend(match recipe.package_kind() {
        PackageKind::Deb => implied(recipe),
        PackageKind::Rpm => rpm::implied(recipe),
    });
    without_repetition(names)
}

fn implied(recipe: &Recipe) -> Vec<String> {
    let mut names = implied_by_settings(recipe);
    if let Some(disk) = &recipe.disk {
        names.extend(implied_by_disk(disk, recipe));
    }
    names.into_iter().map(str::to_owned).collect()
}

fn implied_by_settings(recipe: &Recipe) -> Vec<&'static str> {
    let mut names = Vec::new();
    if !recipe.users.is_empty() || !recipe.groups.is_empty() {
        names.push("passwd");
    }
    if recipe.users.iter().any(|user| user.sudo != Sudo::No) {
        names.push("sudo");
    }
    if recipe.timezone.is_some() {
        names.push("tzdata");
    }
    if recipe
        .locale
        .as_ref()
        .is_some_and(|locale| locale != BUILT_IN_LOCALE)
    {
        names.push("locales");
    }
    if recipe.keymap.is_some() {
        names.extend(["console-setup", "keyboard-configuration"]);
    }
    names
}

fn implied_by_disk(disk: &Disk, recipe: &Recipe) -> Vec<&'static str> {
    let mut names = Vec::new();
    if disk.firmware.is_some() {
        names.push("systemd-sysv");
        // Without a bus there are no logins by logind, and `systemctl` answers only root.
        names.push("dbus");
        // Not essential since Debian 13.
        names.push("login");
        names.push("grub2-common");
        if recipe.release.distribution() == Distribution::Ubuntu {
            // Its kernels only recommend one, and nothing else finds a root by its UUID.
            names.push("initramfs-tools");
        }
    }
    if disk.has_bios() {
        names.push("grub-pc-bin");
    }
    if disk.has_uefi() {
        names.push(grub_efi_package(recipe.architecture));
    }
    names.extend(
        disk.file_systems()
            .filter_map(|(_, system)| tools_of(system.kind)),
    );
    names
}

/// What every build root has: the description of the distribution and its merged `/usr`, accounts, the linker's cache,
/// and dpkg, by which the stage knows the architecture.
const BUILD_ROOT: [&str; 5] = [
    "base-files",
    "base-passwd",
    "dpkg",
    "libc-bin",
    "usr-is-merged",
];

/// Package names of the build root: the programs that the recipe's stages call there, and no more.
pub(crate) fn build_packages(recipe: &Recipe) -> Vec<String> {
    if recipe.package_kind() == PackageKind::Rpm {
        return without_repetition(rpm::build(recipe));
    }
    let mut names = Vec::new();
    if let Some(disk) = &recipe.disk {
        names.extend(
            disk.file_systems()
                .filter_map(|(_, system)| tools_of(system.kind)),
        );
        if disk.has_bios() {
            names.push("grub-common");
        }
    }
    for output in &recipe.outputs {
        names.extend(output_packages(output.format));
    }
    if !names.is_empty() {
        names.splice(0..0, BUILD_ROOT);
    }
    without_repetition(names.into_iter().map(str::to_owned).collect())
}

/// The package that makes and checks a kind of file system. FAT is made by this program, and the EFI system
/// partition is never checked at boot.
fn tools_of(kind: FileSystemKind) -> Option<&'static str> {
    match kind {
        FileSystemKind::Ext4 => Some("e2fsprogs"),
        FileSystemKind::Xfs => Some("xfsprogs"),
        FileSystemKind::Btrfs => Some("btrfs-progs"),
        FileSystemKind::Fat => None,
    }
}

/// tar starts compressors through `/bin/sh`.
fn output_packages(format: OutputFormat) -> &'static [&'static str] {
    match format {
        OutputFormat::Qcow2 | OutputFormat::Vmdk | OutputFormat::Vdi | OutputFormat::Vhdx => {
            &["qemu-utils"]
        }
        OutputFormat::RawXz => &["xz-utils"],
        OutputFormat::RawZst => &["zstd"],
        OutputFormat::Tar => &["tar"],
        OutputFormat::TarGz => &["tar", "dash", "gzip"],
        OutputFormat::TarXz => &["tar", "dash", "xz-utils"],
        OutputFormat::TarZst => &["tar", "dash", "zstd"],
        OutputFormat::Raw | OutputFormat::Directory => &[],
    }
}

fn grub_efi_package(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Amd64 => "grub-efi-amd64-bin",
        Architecture::Arm64 => "grub-efi-arm64-bin",
    }
}

/// Keeps the first of each name; order matters to apt.
fn without_repetition(names: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        if !kept.contains(&name) {
            kept.push(name);
        }
    }
    kept
}
