//! Reads `boot` and `kernel`.

use crate::distribution::{Architecture, PackageKind, Release};
use crate::node::NodeKind;
use crate::problem::{Problems, RecipeError};
use crate::recipe::{Disk, Firmware, Kernel};
use crate::section::{Section, text};

use super::identity_names::is_package_name;

/// Longest time a boot menu may wait, in seconds.
const MAXIMUM_TIMEOUT: i64 = 3600;

/// How a disk starts, as the recipe has it.
#[derive(Clone, Copy)]
pub(super) struct Boot {
    pub(super) firmware: Option<Firmware>,
    pub(super) menu_timeout: u32,
}

const FIRMWARES: [(&str, Option<Firmware>); 4] = [
    ("bios", Some(Firmware::Bios)),
    ("uefi", Some(Firmware::Uefi)),
    ("both", Some(Firmware::Both)),
    ("none", None),
];

pub(super) fn boot(section: &mut Section<'_>, problems: &mut Problems) -> Boot {
    let usual = Some(Firmware::Both);
    let Some(mut section) = section.section("boot", problems) else {
        return Boot {
            firmware: usual,
            menu_timeout: 0,
        };
    };
    let firmware = section.text("firmware", problems);
    let menu_timeout = section.integer("timeout", 0..=MAXIMUM_TIMEOUT, problems);
    section.finish(problems);
    let chosen = firmware.as_ref().map_or(Some(usual), |text| {
        crate::section::choose(text, "boot.firmware", &FIRMWARES, problems)
    });
    Boot {
        firmware: chosen.unwrap_or(usual),
        menu_timeout: menu_timeout
            .and_then(|seconds| u32::try_from(seconds).ok())
            .unwrap_or(0),
    }
}

/// The kernel as written: the package may be left to the distribution.
pub(super) struct WrittenKernel {
    package: Option<String>,
    command_line: Vec<String>,
}

pub(super) fn kernel(
    section: &mut Section<'_>,
    packages: PackageKind,
    problems: &mut Problems,
) -> Option<WrittenKernel> {
    let mut section = section.section("kernel", problems)?;
    let package = section.text("package", problems);
    let command_line = command_line(&mut section, problems);
    section.finish(problems);
    if let Some(name) = package
        .as_ref()
        .filter(|name| !is_package_name(&name.value, packages))
    {
        let message = format!("`{}` is not a package name", name.value);
        problems.add(RecipeError::new(name.place, message));
    }
    Some(WrittenKernel {
        package: package.map(|text| text.value),
        command_line,
    })
}

/// `command-line` is one text or a list; `root=` comes from the disk.
fn command_line(section: &mut Section<'_>, problems: &mut Problems) -> Vec<String> {
    const TITLE: &str = "kernel.command-line";
    let Some(node) = section.get("command-line") else {
        return Vec::new();
    };
    let texts = match &node.kind {
        NodeKind::List(items) => items
            .iter()
            .filter_map(|item| text(item, TITLE, problems))
            .collect(),
        _ => Vec::from_iter(text(node, TITLE, problems)),
    };
    for text in &texts {
        if text
            .value
            .split_whitespace()
            .any(|word| word.starts_with("root="))
        {
            problems.add(
                RecipeError::new(text.place, "`kernel.command-line` sets `root=`")
                    .hint("leave it out: the root file system is found by its UUID"),
            );
        }
        if text.value.contains(['\n', '\0']) {
            problems.add(RecipeError::new(
                text.place,
                format!("`{TITLE}` has a line break"),
            ));
        }
    }
    texts
        .iter()
        .flat_map(|text| text.value.split_whitespace().map(str::to_owned))
        .collect()
}

/// Disks that start get the distribution's kernel unless told; other systems get one only when it is named.
pub(super) fn kernel_for(
    written: Option<WrittenKernel>,
    disk: Option<&Disk>,
    release: Release,
    architecture: Architecture,
) -> Option<Kernel> {
    let starts = disk.is_some_and(|disk| disk.firmware.is_some());
    if written.is_none() && !starts {
        return None;
    }
    let usual = || starts.then(|| release.kernel_package(architecture).to_owned());
    let (package, command_line) = written.map_or((None, Vec::new()), |kernel| {
        (kernel.package, kernel.command_line)
    });
    Some(Kernel {
        package: package.or_else(usual),
        command_line,
    })
}
