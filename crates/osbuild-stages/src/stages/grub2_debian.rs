//! Sets up GRUB in a Debian tree: boot menu, settings, modules, programs for UEFI.

mod command_line;
mod kernels;
mod menu;
mod programs;

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.grub2.debian",
    include_str!("grub2_debian.meta.json"),
    run,
);

/// Debian's grub-mkconfig reads every `*.cfg` here after `/etc/default/grub`, which packages own.
const SETTINGS: &str = "/etc/default/grub.d/50-image.cfg";
const MENU: &str = "/boot/grub/grub.cfg";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    root_fs_uuid: String,
    boot_fs_uuid: Option<String>,
    #[serde(default)]
    kernel_opts: String,
    #[serde(default = "all_platforms")]
    platforms: Vec<Platform>,
    #[serde(default = "usual_esp")]
    esp: String,
    #[serde(default = "usual_timeout")]
    timeout: u64,
    serial: Option<Serial>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
enum Platform {
    #[serde(rename = "i386-pc")]
    Bios,
    #[serde(rename = "x86_64-efi")]
    Uefi,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Serial {
    #[serde(default)]
    unit: u64,
    #[serde(default = "usual_speed")]
    speed: u64,
}

fn all_platforms() -> Vec<Platform> {
    vec![Platform::Bios, Platform::Uefi]
}

fn usual_esp() -> String {
    "/boot/efi".to_owned()
}

fn usual_timeout() -> u64 {
    5
}

fn usual_speed() -> u64 {
    115_200
}

fn run(context: &StageContext) -> Result<()> {
    let mut options: Options = context.options()?;
    options.kernel_opts = command_line::escape(options.kernel_opts.trim())?;
    let tree = context.tree_path()?;
    let kernels = kernels::find(&tree)?;
    for kernel in &kernels {
        context.log(format_args!("kernel {}", kernel.version));
    }
    tree.create_dir_all("/boot/grub")?;
    tree.write(MENU, menu::menu(&options, &kernels))?;
    tree.create_dir_all("/etc/default/grub.d")?;
    tree.write(SETTINGS, menu::settings(&options))?;
    tree.write("/boot/grub/grubenv", menu::environment())?;
    for platform in &options.platforms {
        programs::copy_modules(&tree, *platform)?;
        if *platform == Platform::Uefi {
            let origin = programs::install_uefi(&tree, &options)?;
            context.log(format_args!("UEFI programs from {origin}"));
        }
    }
    Ok(())
}

impl Platform {
    fn name(self) -> &'static str {
        match self {
            Self::Bios => "i386-pc",
            Self::Uefi => "x86_64-efi",
        }
    }
}

#[cfg(test)]
mod tests;
