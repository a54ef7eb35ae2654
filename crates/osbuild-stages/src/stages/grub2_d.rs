//! Writes a drop-in of GRUB's configuration.

use std::path::Path;

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.grub2.d",
    include_str!("grub2_d.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    path: String,
    #[serde(default)]
    config: Config,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    serial: String,
    terminal_input: Vec<String>,
    terminal_output: Vec<String>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { path, config } = context.options()?;
    let location = context.resolve_location(&path)?;
    let (root, file) = (location.tree_root()?, location.path());
    root.create_dir_all(file.parent().unwrap_or(Path::new("/")))?;
    root.write(file, text(&config))
}

fn text(config: &Config) -> String {
    let terminal = |name: &str, devices: &[String]| match devices {
        [] => String::new(),
        devices => format!("{name} {}", devices.join(" ")),
    };
    let commands = [
        config.serial.clone(),
        terminal("terminal_input", &config.terminal_input),
        terminal("terminal_output", &config.terminal_output),
    ];
    let mut text = String::new();
    for command in commands.iter().filter(|command| !command.is_empty()) {
        text.push_str(command);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn a_mount_is_written_to() {
        let options =
            json!({"path": "mount://boot/grub2/console.cfg", "config": {"serial": "serial"}});
        let test = StageTest::new(&STAGE, options).mount("boot");
        assert_eq!(test.run().success().tree, "");
        let file = test.mounts().join("boot/grub2/console.cfg");
        assert_eq!(fs_err::read_to_string(file).unwrap(), "serial\n");
    }

    #[test]
    fn without_settings_the_file_is_empty() {
        assert_eq!(text(&Config::default()), "");
    }
}
