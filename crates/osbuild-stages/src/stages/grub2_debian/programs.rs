//! Putting GRUB's modules and programs where GRUB and firmware look for them, as `grub-install` does.

use std::path::Path;

use anyhow::{Result, ensure};
use osbuild_stage_api::TreeRoot;
use rustix::fs::OFlags;

use super::menu;
use super::{Options, Platform};

const GRUB_LIBRARY: &str = "/usr/lib/grub";
/// The directory that Debian's programs have built in.
const VENDOR: &str = "EFI/debian";
/// What firmware starts from a disk it knows nothing about.
const REMOVABLE: &str = "EFI/BOOT";
const SHIM: &str = "/usr/lib/shim/shimx64.efi.signed";
const SIGNED: &str = "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed";
const MONOLITHIC: &str = "/usr/lib/grub/x86_64-efi/monolithic/grubx64.efi";
/// Enrols keys; signed by the distribution, or by the maker of shim.
const KEY_MANAGERS: [&str; 2] = ["/usr/lib/shim/mmx64.efi.signed", "/usr/lib/shim/mmx64.efi"];
/// GRUB asks for it to draw its menu with.
const FONT: &str = "/usr/share/grub/unicode.pf2";

/// Copies the modules of a platform to `/boot/grub`.
pub(super) fn copy_modules(tree: &TreeRoot, platform: Platform) -> Result<()> {
    let source = format!("{GRUB_LIBRARY}/{}", platform.name());
    let package = match platform {
        Platform::Bios => "grub-pc-bin",
        Platform::Uefi => "grub-efi-amd64-bin",
    };
    ensure!(
        tree.is_dir(&source)?,
        "the tree has no {source}: package `{package}` brings it"
    );
    let target = format!("/boot/grub/{}", platform.name());
    tree.create_dir_all(&target)?;
    for name in tree.read_dir(&source)? {
        let suffix = Path::new(&name).extension();
        let is_loaded = suffix.is_some_and(|suffix| suffix == "mod" || suffix == "lst");
        if let Some(name) = name.to_str().filter(|_| is_loaded) {
            copy(
                tree,
                &format!("{source}/{name}"),
                &format!("{target}/{name}"),
            )?;
        }
    }
    if tree.is_file(FONT)? {
        tree.create_dir_all("/boot/grub/fonts")?;
        copy(tree, FONT, "/boot/grub/fonts/unicode.pf2")?;
    }
    Ok(())
}

/// Fills the EFI system partition's directory; says which package the program is from.
pub(super) fn install_uefi(tree: &TreeRoot, options: &Options) -> Result<&'static str> {
    let esp = options.esp.trim_end_matches('/');
    let (vendor, removable) = (format!("{esp}/{VENDOR}"), format!("{esp}/{REMOVABLE}"));
    tree.create_dir_all(&vendor)?;
    tree.create_dir_all(&removable)?;
    tree.write(format!("{vendor}/grub.cfg"), menu::stub(options))?;
    if tree.is_file(SHIM)? && tree.is_file(SIGNED)? {
        // Firmware starts shim, and shim the GRUB next to it.
        copy(tree, SHIM, &format!("{removable}/BOOTX64.EFI"))?;
        copy(tree, SIGNED, &format!("{removable}/grubx64.efi"))?;
        copy(tree, SHIM, &format!("{vendor}/shimx64.efi"))?;
        copy(tree, SIGNED, &format!("{vendor}/grubx64.efi"))?;
        for source in KEY_MANAGERS {
            if tree.is_file(source)? {
                copy(tree, source, &format!("{removable}/mmx64.efi"))?;
                copy(tree, source, &format!("{vendor}/mmx64.efi"))?;
                break;
            }
        }
        return Ok("shim-signed and grub-efi-amd64-signed");
    }
    ensure!(
        tree.is_file(MONOLITHIC)?,
        "the tree has no GRUB for UEFI: package `grub-efi-amd64-bin` brings it, and for Secure Boot \
         `grub-efi-amd64-signed` with `shim-signed`"
    );
    copy(tree, MONOLITHIC, &format!("{removable}/BOOTX64.EFI"))?;
    copy(tree, MONOLITHIC, &format!("{vendor}/grubx64.efi"))?;
    Ok("grub-efi-amd64-bin")
}

fn copy(tree: &TreeRoot, source: &str, target: &str) -> Result<()> {
    let mut from = tree.open_file(source, OFlags::RDONLY, 0)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let mut to = tree.open_file(target, flags, 0o644)?;
    std::io::copy(&mut from, &mut to)
        .map_err(|error| anyhow::anyhow!("copying {source} to {target}: {error}"))?;
    Ok(())
}
