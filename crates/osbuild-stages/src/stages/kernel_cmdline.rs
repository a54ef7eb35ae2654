//! Sets the kernel's command line.

use anyhow::Result;
use anyhow::bail;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.kernel-cmdline",
    include_str!("kernel_cmdline.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    root_fs_uuid: String,
    #[serde(default)]
    kernel_opts: String,
    kernel_cmdline_size: Option<usize>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options {
        root_fs_uuid,
        kernel_opts,
        kernel_cmdline_size,
    } = context.options()?;
    let root = if root_fs_uuid.is_empty() {
        String::new()
    } else {
        format!("root=UUID={root_fs_uuid}")
    };
    let parts: Vec<_> = [root, kernel_opts]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    let text = parts.join(" ");
    let machine = rustix::system::uname()
        .machine()
        .to_string_lossy()
        .to_lowercase();
    let longest = kernel_cmdline_size.unwrap_or_else(|| command_line_size(&machine));
    if text.chars().count() > longest {
        bail!("The size of the kernel cmdline options cannot be larger than {longest}");
    }
    let tree = context.tree_path()?;
    tree.create_dir_all("/etc/kernel")?;
    tree.write("/etc/kernel/cmdline", text)
}

/// `COMMAND_LINE_SIZE` of the kernel: `arch/*/include/asm/setup.h`.
fn command_line_size(machine: &str) -> usize {
    match machine {
        "arm" | "riscv" => 1024,
        "x86_64" | "i386" | "aarch64" | "powerpc" | "ppc64" => 2048,
        _ => 4096,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_root_comes_first() {
        for (options, text) in [
            (json!({}), ""),
            (json!({"root_fs_uuid": "6699-AFB5"}), "root=UUID=6699-AFB5"),
            (json!({"kernel_opts": "ro quiet"}), "ro quiet"),
            (
                json!({"root_fs_uuid": "6699-AFB5", "kernel_opts": "ro quiet"}),
                "root=UUID=6699-AFB5 ro quiet",
            ),
        ] {
            let ran = StageTest::new(&STAGE, options).run().success();
            assert_eq!(
                ran.tree,
                format!("etc/ 0755\netc/kernel/ 0755\netc/kernel/cmdline 0644 {text:?}\n")
            );
        }
    }

    #[test]
    fn a_line_longer_than_the_kernel_takes_is_an_error() {
        let long = "x".repeat(257);
        let test = StageTest::new(
            &STAGE,
            json!({"kernel_opts": long, "kernel_cmdline_size": 256}),
        );
        assert_eq!(
            test.run().error(),
            "ValueError: The size of the kernel cmdline options cannot be larger than 256"
        );
        assert_eq!(command_line_size("x86_64"), 2048);
        assert_eq!(command_line_size("s390x"), 4096);
    }
}
