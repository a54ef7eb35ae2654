//! Makes an ISO image of a tree.

mod arguments;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use osbuild_stage_api::{StageContext, StageError, StageModule, TreeRoot};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.xorrisofs",
    include_str!("xorrisofs.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    volid: String,
    #[serde(default)]
    sysid: String,
    #[serde(default, rename = "pub")]
    publisher: String,
    #[serde(default)]
    appid: String,
    #[serde(default, rename = "prep")]
    preparer: String,
    boot: Option<Boot>,
    #[serde(default)]
    efi: String,
    grub2mbr: Option<PathBuf>,
    #[serde(default)]
    isohybridmbr: String,
    #[serde(default)]
    isolevel: u8,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    rational_rock: bool,
    #[serde(default)]
    untranslated_filenames: bool,
    #[serde(default)]
    full_filenames: bool,
    #[serde(default)]
    volset: String,
    chrp_boot: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Boot {
    image: String,
    catalog: String,
    #[serde(default)]
    nobootinfo: bool,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let tree = context.input("tree")?.path();
    let arguments = if let Some(is_bootable) = options.chrp_boot {
        if !options.efi.is_empty() {
            return Err(error("UEFI is not supported on PPC64LE"));
        }
        arguments::for_power(&options, is_bootable)
    } else if let Some(record) = &options.grub2mbr {
        if !record.exists() {
            return Err(error(format!(
                "{} is missing from the buildroot",
                record.display()
            )));
        }
        arguments::for_grub(&options, record, &efi_image(tree, &options.efi)?)
    } else {
        arguments::for_syslinux(&options)
    };
    let excluded = options.exclude.iter();
    context
        .command("xorrisofs")
        .args(arguments)
        .args(excluded.flat_map(|path| ["-exclude", path]))
        .arg("-o")
        .arg(context.tree_path()?.target_path(&options.filename)?)
        .arg(tree)
        .run()
}

fn error(text: impl Into<String>) -> anyhow::Error {
    StageError::new("RuntimeError", text.into()).into()
}

/// The image in the input; one that is not there is for the program to complain of.
fn efi_image(tree: &Path, image: &str) -> Result<PathBuf> {
    if image.is_empty() {
        return Ok(PathBuf::new());
    }
    let root = TreeRoot::open(tree)?;
    if root.exists(image)? {
        return root.real_path(image);
    }
    if image.split('/').any(|part| part == "..") {
        bail!("the image `{image}` is outside the tree");
    }
    Ok(tree.join(image.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::{Value, json};

    fn log_of(options: Value) -> String {
        let test = StageTest::new(&STAGE, options)
            .input("tree", &[("images/efi.img", b"")], Value::Null)
            .program("xorrisofs", "true");
        test.run().success().log
    }

    #[test]
    fn syslinux_boots_by_default() {
        let options = json!({
            "filename": "x.iso", "volid": "V", "sysid": "S", "pub": "P", "appid": "A", "prep": "Q", "isolevel": 3,
            "isohybridmbr": "/m", "efi": "images/efi.img", "exclude": ["a", "b"],
            "boot": {"image": "isolinux.bin", "catalog": "boot.cat"}
        });
        assert_eq!(
            log_of(options),
            "$ xorrisofs -verbose -iso-level 3 -V V -sysid S -publisher P -appid A -preparer Q \
             -isohybrid-mbr /m -b isolinux.bin -c boot.cat --boot-catalog-hide -boot-load-size 4 -boot-info-table \
             -no-emul-boot -rock -joliet -eltorito-alt-boot -e images/efi.img -no-emul-boot -isohybrid-gpt-basdat \
             -exclude a -exclude b -o TREE/x.iso INPUTS/tree\n"
        );
    }

    #[test]
    fn grub_boots_with_its_record() {
        let options = json!({
            "filename": "x.iso", "volid": "V", "grub2mbr": "/dev/null", "efi": "/images/efi.img",
            "boot": {"image": "eltorito.img", "catalog": "boot.cat"}
        });
        assert_eq!(
            log_of(options),
            "$ xorrisofs -verbose -rock -joliet -V V --grub2-mbr /dev/null -partition_offset 16 \
             -appended_part_as_gpt -append_partition 2 C12A7328-F81F-11D2-BA4B-00A0C93EC93B \
             INPUTS/tree/images/efi.img -iso_mbr_part_type EBD0A0A2-B9E5-4433-87C0-68B6B72699C7 -b eltorito.img \
             -c boot.cat --boot-catalog-hide -no-emul-boot -boot-load-size 4 -boot-info-table --grub2-boot-info \
             -eltorito-alt-boot -e --interval:appended_partition_2:all:: -no-emul-boot -o TREE/x.iso INPUTS/tree\n"
        );
    }

    #[test]
    fn power_machines_boot_by_themselves() {
        let options = json!({
            "filename": "x.iso", "volid": "V", "chrp_boot": true, "rational_rock": true, "volset": "W",
            "untranslated_filenames": true, "full_filenames": true
        });
        assert_eq!(
            log_of(options),
            "$ xorrisofs -verbose -rock -joliet -V V -rational-rock -untranslated-filenames -full-iso9660-filenames \
             -volset W -volset-size 1 -volset-seqno 1 -chrp-boot -o TREE/x.iso INPUTS/tree\n"
        );
    }

    #[test]
    fn what_can_not_boot_is_an_error() {
        for (options, error) in [
            (
                json!({"filename": "x", "volid": "V", "chrp_boot": true, "efi": "x"}),
                "RuntimeError: UEFI is not supported on PPC64LE",
            ),
            (
                json!({"filename": "x", "volid": "V", "grub2mbr": "/nonexistent"}),
                "RuntimeError: /nonexistent is missing from the buildroot",
            ),
        ] {
            let test = StageTest::new(&STAGE, options).input("tree", &[], Value::Null);
            assert_eq!(test.run().error(), error);
        }
    }
}
