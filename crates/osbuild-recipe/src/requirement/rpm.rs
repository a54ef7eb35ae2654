//! The same for distributions of RPM packages, in Fedora's names.
//!
//! Their systems are made with the tools of the build root, so that the database of packages is of the version that the
//! system's own rpm reads.

use super::BUILT_IN_LOCALE;
use crate::distribution::{Distribution, Release};
use crate::recipe::{Disk, FileSystemKind, OutputFormat, Recipe, Sudo};

/// What every system begins with: directories, accounts and a shell. RPM packages have no priorities that would say it.
const BASE: [&str; 5] = [
    "filesystem",
    "setup",
    // Without it, dnf takes the locales of all languages, the first that provides what the C library wants.
    "glibc-minimal-langpack",
    "bash",
    "coreutils",
];

/// What the build root has besides, for the stages of the system: scripts of packages are run by its rpm, and files get
/// their attributes from its coreutils.
const BUILD_ROOT: [&str; 1] = ["rpm"];

/// The packages that a system has before anything is asked for.
pub(super) fn base(release: Release) -> impl Iterator<Item = &'static str> {
    std::iter::once(release_package(release)).chain(BASE)
}

/// The package that says which release it is, `/etc/os-release`.
fn release_package(release: Release) -> &'static str {
    match release.distribution() {
        Distribution::Centos => "centos-stream-release",
        _ => "fedora-release",
    }
}

/// What the sections of a recipe imply for its system.
pub(super) fn implied(recipe: &Recipe) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    if has_accounts(recipe) {
        names.push("shadow-utils");
    }
    if recipe.users.iter().any(|user| user.sudo != Sudo::No) {
        names.push("sudo");
    }
    if recipe.timezone.is_some() {
        names.push("tzdata");
    }
    if recipe.keymap.is_some() {
        names.push("kbd");
    }
    names.extend(recipe.disk.iter().flat_map(tools));
    let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    names.extend(recipe.locale.as_deref().and_then(language_package));
    names
}

/// `glibc-langpack-en` for `en_GB.UTF-8`.
fn language_package(locale: &str) -> Option<String> {
    let language = locale.split('_').next()?;
    (locale != BUILT_IN_LOCALE).then(|| format!("glibc-langpack-{language}"))
}

/// The programs that the recipe's stages call.
pub(super) fn build(recipe: &Recipe) -> Vec<String> {
    let mut names: Vec<&str> = base(recipe.release).chain(BUILD_ROOT).collect();
    if has_accounts(recipe) {
        names.push("shadow-utils");
    }
    names.extend(recipe.disk.iter().flat_map(tools));
    for output in &recipe.outputs {
        names.extend(output_packages(output.format));
    }
    names.into_iter().map(str::to_owned).collect()
}

fn has_accounts(recipe: &Recipe) -> bool {
    !recipe.users.is_empty() || !recipe.groups.is_empty()
}

/// The packages that make and check the file systems of a disk.
fn tools(disk: &Disk) -> Vec<&'static str> {
    let kinds = disk.file_systems().map(|(_, system)| system.kind);
    kinds
        .filter_map(|kind| match kind {
            FileSystemKind::Ext4 => Some("e2fsprogs"),
            FileSystemKind::Xfs => Some("xfsprogs"),
            FileSystemKind::Btrfs => Some("btrfs-progs"),
            FileSystemKind::Fat => None,
        })
        .collect()
}

fn output_packages(format: OutputFormat) -> &'static [&'static str] {
    match format {
        OutputFormat::Qcow2 | OutputFormat::Vmdk | OutputFormat::Vdi | OutputFormat::Vhdx => {
            &["qemu-img"]
        }
        OutputFormat::RawXz => &["xz"],
        OutputFormat::RawZst => &["zstd"],
        OutputFormat::Tar => &["tar"],
        OutputFormat::TarGz => &["tar", "gzip"],
        OutputFormat::TarXz => &["tar", "xz"],
        OutputFormat::TarZst => &["tar", "zstd"],
        OutputFormat::Raw | OutputFormat::Directory => &[],
    }
}
