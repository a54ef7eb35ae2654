//! Runs commands at the first boot.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.first-boot",
    include_str!("first_boot.meta.json"),
    run,
);

const UNITS: &str = "/usr/lib/systemd/system";
const SERVICE: &str = "osbuild-first-boot.service";
const MARK: &str = "/etc/osbuild-first-boot";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    commands: Vec<String>,
    #[serde(default)]
    wait_for_network: bool,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let tree = context.tree_path()?;
    let wants = format!("{UNITS}/default.target.wants");
    tree.create_dir_all(&wants)?;
    tree.write(format!("{UNITS}/{SERVICE}"), service(&options))?;
    tree.symlink(format!("../{SERVICE}"), format!("{wants}/{SERVICE}"))?;
    tree.create_dir_all("/etc")?;
    tree.append(MARK, "")
}

fn service(options: &Options) -> String {
    let network = if options.wait_for_network {
        "Wants=network-online.target\nAfter=network-online.target"
    } else {
        ""
    };
    let remove_mark = format!("/usr/bin/rm {MARK}");
    let commands = std::iter::once(&remove_mark).chain(&options.commands);
    let commands = commands.fold(String::new(), |lines, command| {
        lines + "ExecStart=" + command + "\n"
    });
    format!(
        "[Unit]\nDescription=OSBuild First Boot Service\nConditionPathExists={MARK}\n{network}\n\n\
         [Service]\nType=oneshot\n\n{commands}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_service_runs_once() {
        let test = StageTest::new(
            &STAGE,
            json!({"commands": ["/bin/a", "/bin/b c"], "wait_for_network": true}),
        );
        let ran = test.run().success();
        let service = "[Unit]\nDescription=OSBuild First Boot Service\nConditionPathExists=/etc/osbuild-first-boot\n\
                       Wants=network-online.target\nAfter=network-online.target\n\n[Service]\nType=oneshot\n\n\
                       ExecStart=/usr/bin/rm /etc/osbuild-first-boot\nExecStart=/bin/a\nExecStart=/bin/b c\n";
        let unit = format!("usr/lib/systemd/system/osbuild-first-boot.service 0644 {service:?}");
        for line in [
            "etc/osbuild-first-boot 0644 \"\"",
            "usr/lib/systemd/system/default.target.wants/osbuild-first-boot.service -> ../osbuild-first-boot.service",
            &unit,
        ] {
            assert!(
                ran.tree.lines().any(|there| there == line),
                "{line}\nnot in\n{}",
                ran.tree
            );
        }
    }
}
