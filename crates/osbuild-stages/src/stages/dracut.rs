//! Makes an initramfs with the tree's dracut.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::ini::python_str;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.dracut", include_str!("dracut.meta.json"), run);

const LOGGER: &str = "/usr/bin/logger";
const TRUE: &str = "/usr/bin/true";

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Deserialize)]
struct Options {
    kernel: Vec<String>,
    #[serde(default)]
    compress: String,
    #[serde(default)]
    modules: Vec<String>,
    #[serde(default)]
    add_modules: Vec<String>,
    #[serde(default)]
    omit_modules: Vec<String>,
    #[serde(default)]
    drivers: Vec<String>,
    #[serde(default)]
    add_drivers: Vec<String>,
    #[serde(default)]
    omit_drivers: Vec<String>,
    #[serde(default)]
    force_drivers: Vec<String>,
    #[serde(default)]
    filesystems: Vec<String>,
    #[serde(default)]
    include: Vec<Map<String, Value>>,
    #[serde(default)]
    install: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    early_microcode: bool,
    #[serde(default = "yes")]
    reproducible: bool,
    #[serde(default)]
    initoverlayfs: bool,
    #[serde(default)]
    extra: Vec<String>,
}

fn yes() -> bool {
    true
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let program = if options.initoverlayfs {
        "/usr/bin/initoverlayfs-install"
    } else {
        "/usr/bin/dracut"
    };
    let arguments = arguments(&options);
    for kernel in &options.kernel {
        context.log(format_args!("Building initramfs for {kernel}"));
        without_logger(context, || {
            context
                .chroot()?
                .command(program)
                .args(["--no-hostonly", "--kver", kernel])
                .args(&arguments)
                .run()
        })?;
    }
    Ok(())
}

fn arguments(options: &Options) -> Vec<String> {
    // There may be one already.
    let mut arguments = ["--force", "-v", "--show-modules"]
        .map(str::to_owned)
        .to_vec();
    let switches = [
        ("early-microcode", options.early_microcode),
        ("reproducible", options.reproducible),
    ];
    arguments.extend(
        switches.map(|(name, is_on)| format!("--{}{name}", if is_on { "" } else { "no-" })),
    );
    if !options.compress.is_empty() {
        arguments.push(format!("--compress={}", options.compress));
    }
    for (option, words) in [
        ("--modules", &options.modules),
        ("--add", &options.add_modules),
        ("--omit", &options.omit_modules),
        ("--drivers", &options.drivers),
        ("--add-drivers", &options.add_drivers),
        ("--omit-drivers", &options.omit_drivers),
        ("--force-drivers", &options.force_drivers),
        ("--filesystems", &options.filesystems),
    ] {
        if !words.is_empty() {
            arguments.extend([option.to_owned(), words.join(" ")]);
        }
    }
    for (from, to) in options.include.iter().flatten() {
        arguments.extend(["--include".to_owned(), from.clone(), python_str(to)]);
    }
    for (option, paths) in [
        ("--remove", &options.remove),
        ("--install", &options.install),
    ] {
        let paths = paths.iter();
        arguments.extend(paths.flat_map(|path| [option.to_owned(), path.clone()]));
    }
    arguments.extend(options.extra.iter().cloned());
    arguments
}

/// Covers `logger` meanwhile: without a log to write to, it complains at every line.
fn without_logger(context: &StageContext, act: impl FnOnce() -> Result<()>) -> Result<()> {
    let tree = context.tree_path()?;
    if !tree.exists(LOGGER)? {
        return act();
    }
    let logger = tree.real_path(LOGGER)?;
    context
        .command("mount")
        .arg("--rbind")
        .arg(tree.real_path(TRUE)?)
        .arg(&logger)
        .run()?;
    let result = act();
    let status = context.command("umount").arg(&logger).status()?;
    if !status.success() {
        context.log(format_args!("{} stays covered", logger.display()));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    fn options(value: serde_json::Value) -> Options {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn every_option_becomes_an_argument() {
        let all = json!({
            "kernel": ["6.1"], "compress": "xz", "modules": ["a", "b"], "add_modules": ["c"], "omit_modules": ["d"],
            "drivers": ["e"], "add_drivers": ["f"], "omit_drivers": ["g"], "force_drivers": ["h"],
            "filesystems": ["i"], "include": [{"/j": "/k"}], "install": ["/l"], "remove": ["/m"],
            "early_microcode": true, "reproducible": false, "extra": ["-n"],
        });
        assert_eq!(
            arguments(&options(all)).join("|"),
            "--force|-v|--show-modules|--early-microcode|--no-reproducible|--compress=xz|--modules|a b|--add|c|\
             --omit|d|--drivers|e|--add-drivers|f|--omit-drivers|g|--force-drivers|h|--filesystems|i|\
             --include|/j|/k|--remove|/m|--install|/l|-n"
        );
        assert_eq!(
            arguments(&options(json!({"kernel": []}))).join(" "),
            "--force -v --show-modules --no-early-microcode --reproducible"
        );
    }

    #[test]
    fn the_logger_is_covered_meanwhile() {
        osbuild_testing::needs![root];
        let test = StageTest::new(
            &STAGE,
            json!({"kernel": ["6.1", "6.2"], "initoverlayfs": true}),
        )
        .file("usr/bin/logger", "")
        .file("usr/bin/true", "")
        .program("mount", "true")
        .program("umount", "true")
        .program("chroot", "true");
        let ran = ["proc", "dev", "sys"]
            .into_iter()
            .fold(test, StageTest::directory)
            .run()
            .success();
        let words: Vec<_> = ran
            .log
            .lines()
            .map(|line| line.split("--force").next().unwrap())
            .collect();
        assert_eq!(
            words[..4],
            [
                "Building initramfs for 6.1",
                "$ mount --rbind TREE/usr/bin/true TREE/usr/bin/logger",
                "$ chroot TREE /usr/bin/initoverlayfs-install --no-hostonly --kver 6.1 ",
                "$ umount TREE/usr/bin/logger",
            ]
        );
        assert_eq!(words.len(), 8);
    }
}
