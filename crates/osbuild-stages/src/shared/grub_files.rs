//! What GRUB needs at run time, copied from the build root: modules, a font, and programs for UEFI.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context as _, Result};
use osbuild_stage_api::TreeRoot;
use rustix::fs::{OFlags, Timespec, Timestamps};

/// Where a build root has modules, by platform.
const MODULES: &str = "/usr/lib/grub";
const FONT: &str = "/usr/share/grub/unicode.pf2";
/// The directory of UEFI's fallback, beside that of a vendor.
const EFI_FALLBACK: &str = "BOOT";

/// Copies the modules of a platform, and a font, to `/boot/grub2`.
pub(crate) fn copy_for_bios(tree: &TreeRoot, platform: &str) -> Result<()> {
    let (source, target) = (
        Path::new(MODULES).join(platform),
        Path::new("/boot/grub2").join(platform),
    );
    tree.create_dir_all(&target)?;
    for entry in fs_err::read_dir(&source)? {
        let entry = entry.with_context(|| format!("reading {}", source.display()))?;
        let (name, path) = (entry.file_name(), entry.path());
        let is_module = path
            .extension()
            .is_some_and(|suffix| suffix == "mod" || suffix == "lst");
        // That list is empty, and nothing reads it.
        if is_module && name != "fdt.lst" {
            copy_file(&path, tree, &target.join(name))?;
        }
    }
    tree.create_dir_all("/boot/grub2/fonts")?;
    copy_file(
        FONT.as_ref(),
        tree,
        "/boot/grub2/fonts/unicode.pf2".as_ref(),
    )
}

/// Copies the programs of a vendor and those of UEFI's fallback to `/boot/efi/EFI`, where neither may be yet.
pub(crate) fn copy_for_uefi(tree: &TreeRoot, source: &str, vendor: &str) -> Result<()> {
    for name in [EFI_FALLBACK, vendor] {
        let target = Path::new("/boot/efi/EFI").join(name);
        if let Some(above) = target.parent() {
            tree.create_dir_all(above)?;
        }
        copy_directory(&Path::new(source).join(name), tree, &target)?;
    }
    Ok(())
}

fn copy_directory(source: &Path, tree: &TreeRoot, target: &Path) -> Result<()> {
    let meta = fs_err::metadata(source)?;
    tree.create_dir(target, 0o777)?;
    for entry in fs_err::read_dir(source)? {
        let entry = entry.with_context(|| format!("reading {}", source.display()))?;
        let (path, target) = (entry.path(), target.join(entry.file_name()));
        // Links of the build root are followed: FAT has none.
        if path.is_dir() {
            copy_directory(&path, tree, &target)?;
        } else {
            copy_file(&path, tree, &target)?;
        }
    }
    let copy = tree.open_file(target, OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
    copy_attributes(&meta, &copy).with_context(|| format!("copying {}", source.display()))
}

/// Copies content, mode and times.
fn copy_file(source: &Path, tree: &TreeRoot, target: &Path) -> Result<()> {
    let mut from = fs_err::File::open(source)?;
    let meta = from.metadata()?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let mut to = tree.open_file(target, flags, 0o666)?;
    io::copy(&mut from, &mut to)
        .and_then(|_| copy_attributes(&meta, &to))
        .with_context(|| format!("copying {}", source.display()))
}

fn copy_attributes(meta: &std::fs::Metadata, to: &std::fs::File) -> io::Result<()> {
    to.set_permissions(PermissionsExt::from_mode(meta.mode() & 0o7777))?;
    let time = |seconds, nanoseconds| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time(meta.atime(), meta.atime_nsec()),
        last_modification: time(meta.mtime(), meta.mtime_nsec()),
    };
    Ok(rustix::fs::futimens(to, &times)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_for_uefi_keep_modes_and_times() {
        let folder = tempfile::tempdir().unwrap();
        let (source, root) = (folder.path().join("source"), folder.path().join("tree"));
        fs_err::create_dir_all(source.join("BOOT/sub")).unwrap();
        fs_err::create_dir_all(source.join("fedora")).unwrap();
        fs_err::create_dir(&root).unwrap();
        fs_err::write(source.join("BOOT/sub/a.efi"), "a").unwrap();
        fs_err::set_permissions(
            source.join("BOOT/sub/a.efi"),
            PermissionsExt::from_mode(0o700),
        )
        .unwrap();
        fs_err::os::unix::fs::symlink("../BOOT/sub/a.efi", source.join("fedora/b.efi")).unwrap();
        let tree = TreeRoot::open(&root).unwrap();
        copy_for_uefi(&tree, source.to_str().unwrap(), "fedora").unwrap();
        let copy = fs_err::metadata(root.join("boot/efi/EFI/BOOT/sub/a.efi")).unwrap();
        let original = fs_err::metadata(source.join("BOOT/sub/a.efi")).unwrap();
        assert_eq!(copy.modified().unwrap(), original.modified().unwrap());
        assert_eq!(copy.mode(), original.mode());
        assert!(
            root.join("boot/efi/EFI/fedora/b.efi")
                .symlink_metadata()
                .unwrap()
                .is_file()
        );
        // Where something is there already, nothing is mixed into it.
        let error = copy_for_uefi(&tree, source.to_str().unwrap(), "fedora").unwrap_err();
        assert!(format!("{error:#}").contains("File exists"), "{error:#}");
    }
}
