//! What `xorrisofs` is told, for each way to boot.

use std::path::Path;

use super::{Boot, Options};

/// The type of an EFI system partition.
const EFI_PARTITION: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
/// The type of the partition that holds the ISO file system: basic data, which Windows mounts.
const DATA_PARTITION: &str = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7";

/// Arguments, in their order.
#[derive(Default)]
struct Arguments(Vec<String>);

impl Arguments {
    fn add(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(ToString::to_string));
    }

    fn add_if(&mut self, is_wanted: bool, words: &[&str]) {
        if is_wanted {
            self.add(words);
        }
    }

    /// What the image says of itself.
    fn add_identity(&mut self, options: &Options) {
        if options.isolevel != 0 {
            self.add(&["-iso-level", &options.isolevel.to_string()]);
        }
        self.add(&["-V", &options.volid]);
        for (name, value) in [
            ("-sysid", &options.sysid),
            ("-publisher", &options.publisher),
            ("-appid", &options.appid),
            ("-preparer", &options.preparer),
        ] {
            self.add_if(!value.is_empty(), &[name, value]);
        }
    }
}

/// For syslinux.
pub(super) fn for_syslinux(options: &Options) -> Vec<String> {
    let mut arguments = Arguments::default();
    let is_hybrid = !options.isohybridmbr.is_empty();
    arguments.add(&["-verbose"]);
    arguments.add_identity(options);
    arguments.add_if(is_hybrid, &["-isohybrid-mbr", &options.isohybridmbr]);
    if let Some(Boot {
        image,
        catalog,
        nobootinfo,
    }) = &options.boot
    {
        arguments.add(&["-b", image, "-c", catalog, "--boot-catalog-hide"]);
        arguments.add(&["-boot-load-size", "4"]);
        arguments.add_if(!nobootinfo, &["-boot-info-table"]);
        arguments.add(&["-no-emul-boot"]);
    }
    arguments.add(&["-rock", "-joliet"]);
    if !options.efi.is_empty() {
        arguments.add(&["-eltorito-alt-boot", "-e", &options.efi, "-no-emul-boot"]);
        arguments.add_if(is_hybrid, &["-isohybrid-gpt-basdat"]);
    }
    arguments.0
}

/// For GRUB, whose boot record is `record`; EFI boots `efi_image`, if it is asked for.
pub(super) fn for_grub(options: &Options, record: &Path, efi_image: &Path) -> Vec<String> {
    let mut arguments = Arguments::default();
    let has_efi = !options.efi.is_empty();
    arguments.add(&["-verbose", "-rock", "-joliet"]);
    arguments.add_identity(options);
    arguments.add(&["--grub2-mbr", &record.to_string_lossy()]);
    if has_efi {
        arguments.add(&["-partition_offset", "16", "-appended_part_as_gpt"]);
        let image = efi_image.to_string_lossy();
        arguments.add(&["-append_partition", "2", EFI_PARTITION, &image]);
    }
    arguments.add(&["-iso_mbr_part_type", DATA_PARTITION]);
    if let Some(Boot {
        image,
        catalog,
        nobootinfo,
    }) = &options.boot
    {
        arguments.add(&["-b", image, "-c", catalog, "--boot-catalog-hide"]);
        arguments.add(&["-no-emul-boot", "-boot-load-size", "4"]);
        arguments.add_if(!nobootinfo, &["-boot-info-table", "--grub2-boot-info"]);
        let appended = "--interval:appended_partition_2:all::";
        arguments.add_if(has_efi, &["-eltorito-alt-boot", "-e", appended]);
    }
    arguments.add(&["-no-emul-boot"]);
    arguments.0
}

/// For PowerPC.
pub(super) fn for_power(options: &Options, is_bootable: bool) -> Vec<String> {
    let mut arguments = Arguments::default();
    arguments.add(&["-verbose", "-rock", "-joliet"]);
    arguments.add_identity(options);
    arguments.add_if(options.rational_rock, &["-rational-rock"]);
    arguments.add_if(options.untranslated_filenames, &["-untranslated-filenames"]);
    arguments.add_if(options.full_filenames, &["-full-iso9660-filenames"]);
    if !options.volset.is_empty() {
        arguments.add(&["-volset", &options.volset]);
        arguments.add(&["-volset-size", "1", "-volset-seqno", "1"]);
    }
    arguments.add_if(is_bootable, &["-chrp-boot"]);
    arguments.0
}
