//! Configures GRUB 2 with a menu of its own, for systems without boot loader entries.

mod menu;

use anyhow::{Result, bail};
use osbuild_stage_api::{StageContext, StageError, StageModule};
use serde::Deserialize;
use serde_json::Number;

use crate::shared::{grub_environment, grub_files};

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.grub2.legacy",
    include_str!("grub2_legacy.meta.json"),
    run,
);

const DIRECTORY: &str = "/boot/grub2";
/// Where a build root has the programs of UEFI.
const EFI_SOURCE: &str = "/boot/efi/EFI";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    rootfs: Filesystem,
    bootfs: Option<Filesystem>,
    bios: Option<Bios>,
    uefi: Option<Uefi>,
    #[serde(default = "yes")]
    write_defaults: bool,
    entries: Vec<Entry>,
    #[serde(default)]
    config: Settings,
}

fn yes() -> bool {
    true
}

/// The schema lets unknown keys pass here, and so does upstream; likewise where it is not said otherwise.
#[derive(Clone, Debug, Deserialize)]
struct Filesystem {
    uuid: Option<String>,
    label: Option<String>,
    device: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Bios {
    platform: String,
}

#[derive(Debug, Deserialize)]
struct Uefi {
    vendor: String,
    #[serde(default)]
    install: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    product: Product,
    kernel: String,
    #[serde(default)]
    default: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Product {
    name: String,
    version: String,
    #[serde(default)]
    nick: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    cmdline: String,
    default: Option<String>,
    disable_recovery: Option<bool>,
    disable_submenu: Option<bool>,
    #[serde(default)]
    distributor: String,
    #[serde(default)]
    terminal: Vec<String>,
    #[serde(default)]
    terminal_input: Vec<String>,
    #[serde(default)]
    terminal_output: Vec<String>,
    timeout: Option<Number>,
    timeout_style: Option<String>,
    #[serde(default)]
    serial: String,
}

impl Filesystem {
    /// Returns the words of the kernel and of GRUB's `search`.
    fn words(&self) -> Result<(String, String)> {
        let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        if let Some(uuid) = given(&self.uuid) {
            Ok((format!("UUID={uuid}"), format!("--fs-uuid {uuid}")))
        } else if let Some(label) = given(&self.label) {
            Ok((format!("LABEL={label}"), format!("--label {label}")))
        } else if let Some(device) = given(&self.device) {
            Ok((device.clone(), device))
        } else {
            bail!("unknown filesystem type")
        }
    }
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let tree = context.tree_path()?;
    if options.write_defaults {
        tree.create_dir_all("/etc/default")?;
        tree.write("/etc/default/grub", menu::defaults(&options.config))?;
    }
    tree.create_dir_all(DIRECTORY)?;
    let defaults: Vec<_> = options
        .entries
        .iter()
        .filter(|entry| entry.default)
        .collect();
    let saved = match defaults[..] {
        [] => None,
        [entry] => Some(menu::saved_id(entry)),
        _ => return Err(StageError::new("AssertionError", "Multiple default entries").into()),
    };
    let variables: Vec<_> = saved
        .iter()
        .map(|id| ("saved_entry", id.as_str()))
        .collect();
    tree.write(
        format!("{DIRECTORY}/grubenv"),
        grub_environment::block(&variables)?,
    )?;
    if let Some(uefi) = &options.uefi {
        if uefi.install {
            grub_files::copy_for_uefi(&tree, EFI_SOURCE, &uefi.vendor)?;
        }
        let file = format!("/boot/efi/EFI/{}/grub.cfg", uefi.vendor);
        tree.write(file, menu::text(&options, true)?)?;
    }
    if let Some(bios) = &options.bios {
        tree.write(
            format!("{DIRECTORY}/grub.cfg"),
            menu::text(&options, false)?,
        )?;
        grub_files::copy_for_bios(&tree, &bios.platform)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::{Value, json};

    fn options(is_default: bool) -> Value {
        let product = json!({"name": "Fedora", "version": "40", "nick": "forty"});
        json!({
            "rootfs": {"uuid": "6699-AFB5"}, "bootfs": {"label": "boot"}, "uefi": {"vendor": "fedora"},
            "entries": [{"id": "abc", "product": product, "kernel": "6.1", "default": true},
                        {"id": "def", "product": {"name": "F", "version": "1"}, "kernel": "6.2", "default": is_default}],
            "config": {"cmdline": "ro", "serial": "serial --unit=0", "terminal_input": ["serial"]},
        })
    }

    #[test]
    fn each_kernel_has_an_entry() {
        let test = StageTest::new(&STAGE, options(false)).directory("boot/efi/EFI/fedora");
        test.run().success();
        let read = |path: &str| fs_err::read_to_string(test.path(path)).unwrap();
        let menu = read("boot/efi/EFI/fedora/grub.cfg");
        let (_, end) = menu
            .split_once("    save_env saved_entry\n  fi\n}\n")
            .unwrap();
        assert_eq!(
            end,
            "\nserial --unit=0\nterminal_input serial${terminal_output}\n\n\
             menuentry 'Fedora (6.1) 40 (forty)' --class red --class gnu-linux --class gnu --class os --unrestricted \
             --id 'gnulinux-6.1-advanced-abc' {\n\tinsmod all_video\n\tset gfxpayload=keep\n\
             \tsearch --no-floppy --set=root --label boot\n\tlinux /vmlinuz-6.1 root=UUID=6699-AFB5 ro\n\
             \tinitrd /initramfs-6.1.img\n}\n\n\
             menuentry 'F (6.2) 1' --class red --class gnu-linux --class gnu --class os --unrestricted \
             --id 'gnulinux-6.2-advanced-def' {\n\tinsmod all_video\n\tset gfxpayload=keep\n\
             \tsearch --no-floppy --set=root --label boot\n\tlinux /vmlinuz-6.2 root=UUID=6699-AFB5 ro\n\
             \tinitrd /initramfs-6.2.img\n}\n\n"
        );
        assert!(read("boot/grub2/grubenv").contains("\nsaved_entry=gnulinux-$6.1-advanced-abc\n#"));
        assert_eq!(
            read("etc/default/grub"),
            "GRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX=\"ro\"\nGRUB_DISABLE_SUBMENU=true\nGRUB_DISABLE_RECOVERY=true\n\
             GRUB_TIMEOUT_STYLE=countdown\nGRUB_DEFAULT=saved\nGRUB_SERIAL_COMMAND=\"serial --unit=0\"\n\
             GRUB_TERMINAL_INPUT=\"serial\"\n"
        );
    }

    #[test]
    fn one_entry_at_most_is_the_default() {
        let ran = StageTest::new(&STAGE, options(true)).run();
        assert_eq!(ran.error(), "AssertionError: Multiple default entries");
    }
}
