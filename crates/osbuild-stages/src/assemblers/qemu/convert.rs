//! From the raw image to the wanted format.

use std::path::Path;

use anyhow::Result;
use osbuild_stage_api::StageContext;

use super::options::{Format, Options};
use crate::shared::qemu_img;

/// How hard `xz` tries unless told otherwise: an image is mostly holes, and the rest is large.
const XZ_LEVEL: u8 = 0;

/// Writes the image in its format to `target`.
pub(super) fn convert(
    context: &StageContext,
    options: &Options,
    image: &Path,
    target: &Path,
) -> Result<()> {
    match options.format {
        // It was made in its place.
        Format::Raw => Ok(()),
        Format::RawXz => compress(context, options, image, target),
        Format::Qcow2 | Format::Vdi | Format::Vmdk | Format::Vpc | Format::Vhdx => {
            let (name, mut arguments) = qemu_arguments(options);
            arguments.extend(qemu_img::coroutines(context));
            context
                .command("qemu-img")
                .args(["convert", "-O", name])
                .args(arguments)
                .arg(image)
                .arg(target)
                .run()
        }
    }
}

fn compress(context: &StageContext, options: &Options, image: &Path, target: &Path) -> Result<()> {
    let level = options.xz_level.unwrap_or(XZ_LEVEL);
    context
        .command("xz")
        .args(["--keep", "--stdout", &format!("-{level}")])
        .arg(image)
        .env("XZ_OPT", "--threads 0")
        .write_to(fs_err::File::create(target)?.into())
}

/// The name that QEMU has for the format, and how it is to be written.
fn qemu_arguments(options: &Options) -> (&'static str, Vec<String>) {
    let mut arguments = Vec::new();
    let mut set = |setting: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            arguments.extend(["-o".to_owned(), format!("{setting}={value}")]);
        }
    };
    let (name, is_compressed) = match options.format {
        Format::Qcow2 => {
            set("compat", options.qcow2_compat.as_deref());
            set("compression_type", options.qcow2_compression.as_deref());
            ("qcow2", true)
        }
        Format::Vmdk => {
            set("subformat", options.vmdk_subformat.as_deref());
            ("vmdk", true)
        }
        Format::Vpc => {
            set("subformat", Some("fixed,force_size"));
            ("vpc", false)
        }
        Format::Vdi => ("vdi", false),
        Format::Vhdx => ("vhdx", false),
        Format::Raw | Format::RawXz => ("raw", false),
    };
    if is_compressed {
        arguments.insert(0, "-c".to_owned());
    }
    (name, arguments)
}
