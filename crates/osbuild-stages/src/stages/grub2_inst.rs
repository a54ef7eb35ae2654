//! Makes GRUB's core image, and installs it for BIOS or Open Firmware.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use osbuild_stage_api::{StageContext, StageModule};
use rustix::fs::OFlags;
use serde::Deserialize;

use crate::shared::grub_bios;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.grub2.inst",
    include_str!("grub2_inst.meta.json"),
    run,
);

/// Fedora's name of the program, which is the default; Debian has the second.
const MKIMAGE: [&str; 2] = ["grub2-mkimage", "grub-mkimage"];
const BIOS: &str = "i386-pc";
const SECTOR_SIZE: f64 = 512.0;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    platform: String,
    location: Option<u64>,
    core: Core,
    prefix: Prefix,
    #[serde(rename = "sector-size")]
    sector_size: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Core {
    #[expect(dead_code, reason = "the schema allows `mkimage` alone")]
    r#type: String,
    partlabel: String,
    filesystem: String,
    binary: Option<String>,
}

/// A directory alone, or on a partition when it has a number.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prefix {
    #[expect(dead_code, reason = "the schema allows `partition` alone")]
    r#type: Option<String>,
    partlabel: Option<String>,
    number: Option<f64>,
    path: String,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let tree = context.tree_path()?;
    let prefix = options.prefix.spell()?;
    context.log(format_args!("prefix: {prefix}"));
    let directory = tempfile::tempdir().context("making a temporary directory")?;
    let core = make_core(context, &options, &prefix, directory.path())?;
    match options.location {
        None | Some(0) => {
            let core = fs_err::read(core)?;
            tree.write(&options.filename, core)
        }
        Some(location) => {
            let disk = tree.open_file(&options.filename, OFlags::RDWR, 0)?;
            install(context, &options, &core, &disk, location)
        }
    }
}

impl Prefix {
    fn spell(&self) -> Result<String> {
        let Some(number) = self.number else {
            return Ok(self.path.clone());
        };
        let label = match self.partlabel.as_deref() {
            Some("gpt") => "gpt",
            Some("dos" | "mbr") => "msdos",
            label => bail!("Unknown partition type: {}", label.unwrap_or("none")),
        };
        Ok(format!(
            "(,{label}{})/{}",
            number + 1.0,
            self.path.trim_start_matches('/')
        ))
    }
}

/// What GRUB needs to find the rest of itself, and the format it comes in.
fn modules_and_format(options: &Options) -> Result<(Vec<&'static str>, &str)> {
    let mut modules = Vec::new();
    if options.platform == BIOS {
        modules.push("biosdisk");
    }
    match options.core.partlabel.as_str() {
        "dos" | "mbr" => modules.push("part_msdos"),
        "gpt" => modules.push("part_gpt"),
        _ => {}
    }
    let (module, format) = match options.core.filesystem.as_str() {
        "ext4" => ("ext2", options.platform.as_str()),
        "xfs" => ("xfs", options.platform.as_str()),
        "btrfs" => ("btrfs", options.platform.as_str()),
        "iso9660" => ("iso9660", "i386-pc-eltorito"),
        other => bail!("unknown boot filesystem type: '{other}'"),
    };
    modules.push(module);
    Ok((modules, format))
}

fn make_core(
    context: &StageContext,
    options: &Options,
    prefix: &str,
    directory: &Path,
) -> Result<PathBuf> {
    let core = directory.join("grub2-core.img");
    let (modules, format) = modules_and_format(options)?;
    let run = |program: &str| {
        context
            .command(program)
            .args([
                "--verbose",
                "--directory",
                &format!("/usr/lib/grub/{}", options.platform),
            ])
            .args([
                "--prefix",
                prefix,
                "--format",
                format,
                "--compression",
                "auto",
                "--output",
            ])
            .arg(&core)
            .args(&modules)
            .run()
    };
    match &options.core.binary {
        Some(program) => run(program)?,
        None => grub_bios::with_either_name(MKIMAGE, run)?,
    }
    Ok(core)
}

fn install(
    context: &StageContext,
    options: &Options,
    core: &Path,
    disk: &File,
    location: u64,
) -> Result<()> {
    let sector_size = options.sector_size.unwrap_or(SECTOR_SIZE) as u64;
    let core = fs_err::read(core)?;
    context.log(format_args!(
        "writing {} bytes of core image to sector {location}",
        core.len()
    ));
    grub_bios::write_core(disk, &core, location, sector_size)?;
    if options.platform == BIOS {
        let boot = fs_err::read(format!("/usr/lib/grub/{BIOS}/boot.img"))?;
        grub_bios::write_boot_code(disk, &boot, location, sector_size)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use osbuild_testing::needs;
    use serde_json::{Value, json};

    /// Leaves a recognizable core image where `--output` says.
    const MKIMAGE_STUB: &str =
        r#"while [ "$1" != --output ]; do shift; done; printf %01024d 0 >"$2""#;

    fn options(platform: &str, location: &Value) -> Value {
        json!({
            "filename": "/disk.img", "platform": platform, "location": location,
            "core": {"type": "mkimage", "partlabel": "gpt", "filesystem": "ext4"},
            "prefix": {"type": "partition", "partlabel": "gpt", "number": 0, "path": "/boot/"}
        })
    }

    fn without_directory(log: &str) -> String {
        let words = log.split(' ').map(|word| {
            if word.ends_with("/grub2-core.img") {
                "CORE"
            } else {
                word
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn without_a_location_the_file_becomes_the_core_image() {
        let test = StageTest::new(&STAGE, options("some-platform", &json!(0)))
            .file("disk.img", "Just testing")
            .program("grub2-mkimage", MKIMAGE_STUB);
        let log = test.run().success().log;
        assert_eq!(fs_err::read(test.path("disk.img")).unwrap(), [b'0'; 1024]);
        assert_eq!(
            without_directory(&log),
            "prefix: (,gpt1)/boot/\n$ grub2-mkimage --verbose --directory /usr/lib/grub/some-platform \
             --prefix '(,gpt1)/boot/' --format some-platform --compression auto --output CORE part_gpt ext2\n"
        );
    }

    #[test]
    fn a_program_that_fails_is_not_tried_under_its_other_name() {
        let test = StageTest::new(&STAGE, options("x", &json!(0)))
            .program("grub2-mkimage", "exit 1")
            .program("grub-mkimage", MKIMAGE_STUB);
        assert!(test.run().error().contains("'grub2-mkimage'"));
    }

    #[test]
    fn bios_code_is_told_where_the_core_image_is() {
        needs![tool("grub-mkimage")];
        let test = StageTest::new(&STAGE, options("i386-pc", &json!(2048)));
        let disk = test.path("disk.img");
        fs_err::File::create(&disk)
            .unwrap()
            .set_len(4 << 20)
            .unwrap();
        let log = test.run().success().log;
        assert!(log.contains("$ grub-mkimage --verbose"), "{log}");
        let bytes = fs_err::read(disk).unwrap();
        let boot = fs_err::read("/usr/lib/grub/i386-pc/boot.img").unwrap();
        assert_eq!(bytes[..0x5c], boot[..0x5c]);
        assert_eq!(bytes[0x5c..0x64], 2048u64.to_le_bytes());
        assert_eq!(bytes[0x64..440], boot[0x64..440]);
        assert_eq!(bytes[440..512], [0; 72]);
        assert_eq!(bytes[2048 * 512 + 500..][..8], 2049u64.to_le_bytes());
    }

    #[test]
    fn the_embedding_gap_of_an_mbr_disk_needs_no_block_list() {
        let test = StageTest::new(&STAGE, options("other", &json!(1)))
            .file("disk.img", "x")
            .program("grub2-mkimage", MKIMAGE_STUB);
        let _ = test.run().success();
        assert_eq!(
            fs_err::read(test.path("disk.img")).unwrap()[512..],
            [b'0'; 1024]
        );
    }

    #[test]
    fn a_compact_disc_has_a_format_of_its_own() {
        let mut options = options("i386-pc", &Value::Null);
        options["core"]["filesystem"] = json!("iso9660");
        options["prefix"] = json!({"path": "/boot/grub2/"});
        let test = StageTest::new(&STAGE, options).program("grub2-mkimage", MKIMAGE_STUB);
        let log = test.run().success().log;
        assert!(log.starts_with("prefix: /boot/grub2/\n"), "{log}");
        assert!(
            log.contains(" --format i386-pc-eltorito ")
                && log.contains(" biosdisk part_gpt iso9660\n"),
            "{log}"
        );
    }
}
