//! Converts a disk image to another format.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::only_file::only_file;
use crate::shared::qemu_img;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.qemu", include_str!("qemu.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    format: Format,
}

/// What may be said depends on `type`; the schema sees to it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Format {
    r#type: Type,
    compression: Option<bool>,
    compat: Option<String>,
    adapter_type: Option<String>,
    compat6: Option<bool>,
    subformat: Option<String>,
    force_size: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Type {
    Qcow2,
    Vdi,
    Vmdk,
    Vpc,
    Vhdx,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Vdi => "vdi",
            Self::Vmdk => "vmdk",
            Self::Vpc => "vpc",
            Self::Vhdx => "vhdx",
        }
    }
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let source = only_file(context, "image")?;
    let target = context.tree_path()?.target_path(&options.filename)?;
    let mut arguments = format_arguments(&options.format);
    arguments.extend(qemu_img::coroutines(context));
    let command = context
        .command("qemu-img")
        .args(["convert", "-O", options.format.r#type.name()]);
    command.args(arguments).arg(source).arg(target).run()
}

fn format_arguments(format: &Format) -> Vec<String> {
    let mut settings = Vec::new();
    let mut set = |name: &str, value: Option<&str>| {
        settings.extend(value.map(|value| format!("{name}={value}")));
    };
    let is_compressed = match format.r#type {
        Type::Qcow2 => {
            set("compat", format.compat.as_deref());
            format.compression.unwrap_or(true)
        }
        Type::Vmdk => {
            set("adapter_type", format.adapter_type.as_deref());
            if format.compat6 == Some(true) {
                settings.push("compat6".to_owned());
            }
            settings.extend(
                format
                    .subformat
                    .as_ref()
                    .map(|layout| format!("subformat={layout}")),
            );
            format.compression.unwrap_or(true)
        }
        Type::Vpc => {
            set(
                "subformat",
                Some(format.subformat.as_deref().unwrap_or("fixed")),
            );
            if format.force_size.unwrap_or(true) {
                settings.push("force_size".to_owned());
            }
            false
        }
        Type::Vdi | Type::Vhdx => false,
    };
    let mut arguments = Vec::new();
    if is_compressed {
        arguments.push("-c".to_owned());
    }
    if !settings.is_empty() {
        arguments.extend(["-o".to_owned(), settings.join(",")]);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use osbuild_testing::needs;
    use serde_json::{Value, json};

    fn test_with(format: &Value) -> StageTest {
        let mut image = vec![0; 1 << 20];
        image[..4].copy_from_slice(b"boot");
        StageTest::new(&STAGE, json!({"filename": "/disk.out", "format": format})).input(
            "image",
            &[("disk.img", &image)],
            json!({"files": {"disk.img": {}}}),
        )
    }

    #[test]
    fn formats_become_arguments() {
        for (format, expected) in [
            (json!({"type": "qcow2"}), "-O qcow2 -c"),
            (
                json!({"type": "qcow2", "compression": false, "compat": "1.1"}),
                "-O qcow2 -o compat=1.1",
            ),
            (json!({"type": "vdi"}), "-O vdi"),
            (json!({"type": "vhdx"}), "-O vhdx"),
            (json!({"type": "vmdk"}), "-O vmdk -c"),
            (
                json!({"type": "vmdk", "adapter_type": "ide", "compat6": true, "subformat": "streamOptimized"}),
                "-O vmdk -c -o adapter_type=ide,compat6,subformat=streamOptimized",
            ),
            (
                json!({"type": "vpc"}),
                "-O vpc -o subformat=fixed,force_size",
            ),
            (
                json!({"type": "vpc", "subformat": "dynamic", "force_size": false}),
                "-O vpc -o subformat=dynamic",
            ),
        ] {
            let test = test_with(&format).program("qemu-img", "");
            let log = test.run().success().log;
            assert_eq!(
                log,
                format!("$ qemu-img convert {expected} INPUTS/image/disk.img TREE/disk.out\n")
            );
        }
    }

    #[test]
    fn a_qcow2_image_comes_out_right() {
        needs![tool("qemu-img")];
        let test = test_with(&json!({"type": "qcow2"}));
        let _ = test.run().success();
        let back = test.workspace().join("back.img");
        let command = test
            .context()
            .command("qemu-img")
            .args(["convert", "-O", "raw"]);
        command.arg(test.path("disk.out")).arg(&back).run().unwrap();
        let source = test.workspace().join("inputs/image/disk.img");
        assert!(fs_err::read(back).unwrap() == fs_err::read(source).unwrap());
    }

    #[test]
    fn two_files_are_one_too_many() {
        let test = StageTest::new(&STAGE, json!({"filename": "x", "format": {"type": "vdi"}}));
        let test = test.input("image", &[], json!({"files": {"a": {}, "b": {}}}));
        assert_eq!(
            test.run().error(),
            "ValueError: the input `image` must offer one file, but offers 2"
        );
    }
}
