//! Configures kernel modules.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageError, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.modprobe",
    include_str!("modprobe.meta.json"),
    run,
);

const DIRECTORY: &str = "/usr/lib/modprobe.d";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    commands: Vec<Line>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    command: Verb,
    modulename: String,
    cmdline: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verb {
    Blacklist,
    Install,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { filename, commands } = context.options()?;
    let text = commands.iter().map(line_text).collect::<Result<String>>()?;
    let tree = context.tree_path()?;
    tree.create_dir_all(DIRECTORY)?;
    tree.write(format!("{DIRECTORY}/{filename}"), text)
}

fn line_text(line: &Line) -> Result<String> {
    let name = &line.modulename;
    match (line.command, &line.cmdline) {
        (Verb::Blacklist, _) => Ok(format!("blacklist {name}\n")),
        (Verb::Install, Some(cmdline)) => Ok(format!("install {name} {cmdline}\n")),
        (Verb::Install, None) => Err(StageError::new("KeyError", "'cmdline'").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn commands_are_lines() {
        let commands = json!([
            {"command": "blacklist", "modulename": "nouveau"},
            {"command": "install", "modulename": "floppy", "cmdline": "/bin/true"},
        ]);
        let test = StageTest::new(&STAGE, json!({"filename": "x.conf", "commands": commands}));
        assert_eq!(
            test.run().success().tree.lines().last(),
            Some(
                "usr/lib/modprobe.d/x.conf 0644 \"blacklist nouveau\\ninstall floppy /bin/true\\n\""
            )
        );
    }

    #[test]
    fn an_install_line_needs_a_command() {
        let commands = json!([{"command": "install", "modulename": "floppy"}]);
        let test = StageTest::new(&STAGE, json!({"filename": "x.conf", "commands": commands}));
        assert_eq!(test.run().error(), "KeyError: 'cmdline'");
    }
}
