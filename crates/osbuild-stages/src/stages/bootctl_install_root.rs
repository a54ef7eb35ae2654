//! Installs systemd-boot.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.bootctl.install.root",
    include_str!("bootctl_install_root.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Options {
    root: String,
    #[serde(default)]
    esp_path: String,
    #[serde(default)]
    boot_path: String,
    #[serde(default)]
    relax_esp_checks: bool,
    #[serde(default)]
    random_seed: String,
    #[serde(default)]
    make_entry_directory: String,
    #[serde(default)]
    entry_token: String,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    if !context.tree().as_os_str().is_empty() {
        // One that is not there yet is made.
        context.tree_path()?;
    }
    let location = context.resolve_location(&options.root)?;
    let mut command = context
        .command("bootctl")
        .args(["install", "--no-variables", "--root"])
        .arg(location.tree_root()?.real_path(location.path())?);
    for (name, value) in [
        ("--random-seed", &options.random_seed),
        ("--make-entry-directory", &options.make_entry_directory),
        ("--entry-token", &options.entry_token),
        ("--esp-path", &options.esp_path),
        ("--boot-path", &options.boot_path),
    ] {
        if !value.is_empty() {
            command = command.args([name, value]);
        }
    }
    if options.relax_esp_checks {
        command = command.env("SYSTEMD_RELAX_ESP_CHECKS", "1");
    }
    command.run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn options_become_arguments() {
        let options = json!({
            "root": "mount://root/", "esp-path": "/efi", "boot-path": "/boot", "relax-esp-checks": true,
            "random-seed": "no", "make-entry-directory": "yes", "entry-token": "os-id"
        });
        let test = StageTest::new(&STAGE, options)
            .mount("root")
            .program("bootctl", "echo relaxed=$SYSTEMD_RELAX_ESP_CHECKS");
        assert_eq!(
            test.run().success().log,
            "$ bootctl install --no-variables --root MOUNTS/root --random-seed no --make-entry-directory yes \
             --entry-token os-id --esp-path /efi --boot-path /boot\nrelaxed=1\n"
        );
    }

    #[test]
    fn checks_are_not_relaxed_without_being_asked() {
        let test = StageTest::new(&STAGE, json!({"root": "tree:///"}))
            .program("bootctl", "echo relaxed=$SYSTEMD_RELAX_ESP_CHECKS");
        assert_eq!(
            test.run().success().log,
            "$ bootctl install --no-variables --root TREE\nrelaxed=\n"
        );
    }
}
