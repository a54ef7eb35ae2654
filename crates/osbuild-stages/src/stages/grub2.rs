//! Configures GRUB 2 to boot the entries in `/boot/loader/entries`.

mod config;

use anyhow::{Context as _, Result, bail};
use osbuild_stage_api::{StageContext, StageModule, TreeRoot};
use serde::Deserialize;
use serde_json::Value;

use crate::shared::{grub_environment, grub_files};
use config::{Menu, Settings};

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.grub2", include_str!("grub2.meta.json"), run);

const DEFAULTS: &str = "/etc/default/grub";
const DIRECTORY: &str = "/boot/grub2";
/// What `"legacy": true` stands for.
const BIOS_PLATFORM: &str = "i386-pc";
const EFI_SOURCE: &str = "/boot/efi/EFI";
/// Since this version `grub.cfg` has no variables that are not set.
const WITHOUT_UNSET_VARIABLES: f64 = 2.0;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are the published options"
)]
struct Options {
    compat_version: Option<f64>,
    rootfs: Option<Filesystem>,
    bootfs: Option<Filesystem>,
    root_fs_uuid: Option<String>,
    boot_fs_uuid: Option<String>,
    #[serde(default)]
    kernel_opts: String,
    legacy: Option<Value>,
    uefi: Option<Uefi>,
    saved_entry: Option<String>,
    #[serde(default = "yes")]
    write_defaults: bool,
    #[serde(default = "yes")]
    write_cmdline: bool,
    #[serde(default)]
    ignition: bool,
    #[serde(default)]
    greenboot: bool,
    #[serde(default)]
    config: Settings,
}

fn yes() -> bool {
    true
}

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Clone, Debug, Default, Deserialize)]
struct Filesystem {
    uuid: Option<String>,
    label: Option<String>,
}

/// As [`Filesystem`].
#[derive(Debug, Deserialize)]
struct Uefi {
    vendor: String,
    efi_src_dir: Option<String>,
    #[serde(default)]
    install: bool,
    #[serde(default)]
    unified: bool,
}

impl Filesystem {
    fn by_uuid(uuid: &str) -> Self {
        Self {
            uuid: Some(uuid.to_owned()),
            label: None,
        }
    }

    /// Returns the words of the kernel, of GRUB's `search`, and the value.
    fn words(&self) -> Result<(&'static str, &'static str, &str)> {
        let given = |value: &Option<String>| value.as_ref().is_some_and(|text| !text.is_empty());
        match (&self.uuid, &self.label) {
            (Some(uuid), _) if given(&self.uuid) => Ok(("UUID", "--fs-uuid", uuid)),
            (_, Some(label)) if given(&self.label) => Ok(("LABEL", "--label", label)),
            _ => bail!("unknown filesystem type"),
        }
    }
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let tree = context.tree_path()?;
    let root = match (&options.rootfs, &options.root_fs_uuid) {
        (Some(root), _) => root.clone(),
        (None, uuid) => Filesystem::by_uuid(uuid.as_deref().context("there is no `rootfs`")?),
    };
    let uuid = options.boot_fs_uuid.as_deref();
    let boot = options
        .bootfs
        .clone()
        .or_else(|| uuid.map(Filesystem::by_uuid));
    let platform = bios_platform(options.legacy.as_ref());

    if options.write_defaults {
        tree.create_dir_all("/etc/default")?;
        tree.write(DEFAULTS, options.config.defaults(&options.kernel_opts))?;
    }
    tree.create_dir_all(DIRECTORY)?;
    let is_hybrid = options.uefi.is_some() && platform.is_some();
    write_environment(&tree, &options, &root, is_hybrid)?;

    let (_, search_option, value) = boot.as_ref().unwrap_or(&root).words()?;
    let menu = Menu {
        search: format!("{search_option} {value}"),
        home: if boot.is_some() { "/" } else { "/boot/" },
        has_ignition: options.ignition,
        has_greenboot: options.greenboot,
        keeps_unset_variables: options.compat_version.unwrap_or(1.0) < WITHOUT_UNSET_VARIABLES,
        settings: &options.config,
    };
    let mut file = format!("{DIRECTORY}/grub.cfg");
    if let Some(uefi) = &options.uefi {
        if uefi.install {
            let source = uefi.efi_src_dir.as_deref().unwrap_or(EFI_SOURCE);
            grub_files::copy_for_uefi(&tree, source, &uefi.vendor)?;
        }
        let efi_file = format!("/boot/efi/EFI/{}/grub.cfg", uefi.vendor);
        if is_hybrid || uefi.unified {
            context.log(format_args!("{efi_file} leads to {file}"));
            tree.write(efi_file, menu.redirection())?;
        } else {
            file = efi_file;
        }
    }
    tree.write(file, menu.text())?;
    platform.map_or(Ok(()), |platform| {
        grub_files::copy_for_bios(&tree, &platform)
    })
}

fn bios_platform(legacy: Option<&Value>) -> Option<String> {
    match legacy? {
        Value::Bool(true) => Some(BIOS_PLATFORM.to_owned()),
        Value::String(platform) if !platform.is_empty() => Some(platform.clone()),
        _ => None,
    }
}

fn write_environment(
    tree: &TreeRoot,
    options: &Options,
    root: &Filesystem,
    is_hybrid: bool,
) -> Result<()> {
    let file = format!("{DIRECTORY}/grubenv");
    if is_hybrid {
        // A package of UEFI links it to the EFI system partition, but there is one for both.
        tree.remove_file(&file)?;
    }
    let (kind, _, value) = root.words()?;
    let command_line = format!("root={kind}={value} {}", options.kernel_opts);
    let mut variables = Vec::new();
    if options.write_cmdline {
        variables.push(("kernelopts", command_line.as_str()));
    }
    if let Some(entry) = options
        .saved_entry
        .as_deref()
        .filter(|entry| !entry.is_empty())
    {
        variables.push(("saved_entry", entry));
    }
    tree.write(file, grub_environment::block(&variables)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    const UUID: &str = "9c6ae55b-cf88-45b8-84e8-64990759f39d";

    fn test(options: Value) -> StageTest {
        StageTest::new(&STAGE, options).directory("boot/efi/EFI/fedora")
    }

    fn read(test: &StageTest, path: &str) -> String {
        fs_err::read_to_string(test.path(path)).unwrap()
    }

    #[test]
    fn uefi_alone_has_its_menu_on_the_system_partition() {
        let test =
            test(json!({"root_fs_uuid": UUID, "kernel_opts": "ro", "uefi": {"vendor": "fedora"}}));
        let ran = test.run().success();
        assert!(!ran.tree.contains("boot/grub2/grub.cfg"), "{}", ran.tree);
        assert!(read(&test, "boot/grub2/grubenv").starts_with(&format!(
            "# GRUB Environment Block\nkernelopts=root=UUID={UUID} ro\n#"
        )));
        assert_eq!(
            read(&test, "etc/default/grub"),
            "GRUB_CMDLINE_LINUX=\"ro\"\nGRUB_TIMEOUT=0\nGRUB_ENABLE_BLSCFG=true\n"
        );
        let menu = read(&test, "boot/efi/EFI/fedora/grub.cfg");
        assert!(menu.contains(&format!(
            "\nsearch --no-floppy --set=root --fs-uuid {UUID}\n"
        )));
    }

    #[test]
    fn both_share_a_menu_and_an_environment() {
        osbuild_testing::needs![tool("grub-mkimage")];
        let options = json!({"rootfs": {"label": "root"}, "boot_fs_uuid": "6699-AFB5", "legacy": true,
                             "uefi": {"vendor": "fedora"}, "saved_entry": "x-1", "write_defaults": false,
                             "write_cmdline": false});
        let test = test(options).symlink("boot/grub2/grubenv", "../efi/EFI/fedora/grubenv");
        let ran = test.run().success();
        assert!(ran.tree.contains(
            "\nboot/grub2/grubenv 0644 \"# GRUB Environment Block\\nsaved_entry=x-1\\n#"
        ));
        assert!(ran.tree.contains("\nboot/grub2/i386-pc/normal.mod 0644 "));
        assert!(ran.tree.contains("\nboot/grub2/fonts/unicode.pf2 0644 "));
        assert!(!ran.tree.contains("fdt.lst") && !ran.tree.contains("etc/default"));
        assert_eq!(
            read(&test, "boot/efi/EFI/fedora/grub.cfg"),
            "\nsearch --no-floppy --set prefix --file /grub2/grub.cfg\nset prefix=($prefix)/grub2\n\
             configfile $prefix/grub.cfg\n"
        );
        let menu = read(&test, "boot/grub2/grub.cfg");
        assert!(
            menu.contains("\nsearch --no-floppy --set=root --fs-uuid 6699-AFB5\n"),
            "{menu}"
        );
    }

    #[test]
    fn a_root_that_is_not_named_fails_the_stage() {
        let ran = test(json!({"rootfs": {}})).run();
        assert_eq!(ran.error(), "ValueError: unknown filesystem type");
    }
}
