//! Writes files in `/etc/sysconfig`.

use anyhow::{Result, bail};
use osbuild_stage_api::{StageContext, StageModule, TreeRoot};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::ini::python_str;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.sysconfig",
    include_str!("sysconfig.meta.json"),
    run,
);

const DIRECTORY: &str = "/etc/sysconfig";
const FILE_MODE: u32 = 0o644;
/// Device options whose value is a word; the others are switches.
const WORDS: [&str; 3] = ["device", "bootproto", "type"];

/// Options keep the order of the manifest in the files, so they are maps; their names are up to the schema.
type Settings = Map<String, Value>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    kernel: Settings,
    #[serde(default)]
    network: Settings,
    #[serde(rename = "network-scripts")]
    network_scripts: Option<NetworkScripts>,
    #[serde(default)]
    livesys: Settings,
    #[serde(default)]
    desktop: Settings,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkScripts {
    #[serde(default)]
    ifcfg: Map<String, Value>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let tree = context.tree_path()?;
    tree.create_dir_all(DIRECTORY)?;
    if !options.kernel.is_empty() {
        let names = [
            ("update_default", "UPDATEDEFAULT"),
            ("default_kernel", "DEFAULTKERNEL"),
        ];
        tree.write(
            format!("{DIRECTORY}/kernel"),
            lines(&options.kernel, &names)?,
        )?;
    }
    if !options.network.is_empty() {
        let names = [("networking", "NETWORKING"), ("no_zero_conf", "NOZEROCONF")];
        tree.write(
            format!("{DIRECTORY}/network"),
            lines(&options.network, &names)?,
        )?;
    }
    if let Some(scripts) = options
        .network_scripts
        .filter(|scripts| !scripts.ifcfg.is_empty())
    {
        write_devices(&tree, &scripts.ifcfg)?;
    }
    if let Some(session) = options.livesys.get("session") {
        let text = format!("livesys_session=\"{}\"\n", word(session));
        write_for_all(&tree, "livesys", &text)?;
    }
    let names = [
        ("preferred", "PREFERRED"),
        ("displaymanager", "DISPLAYMANAGER"),
    ];
    let desktop: Vec<_> = names
        .iter()
        .filter_map(|(option, name)| {
            Some(format!("{name}={}\n", word(options.desktop.get(*option)?)))
        })
        .collect();
    if !desktop.is_empty() {
        write_for_all(&tree, "desktop", &desktop.concat())?;
    }
    Ok(())
}

fn write_devices(tree: &TreeRoot, devices: &Map<String, Value>) -> Result<()> {
    let directory = format!("{DIRECTORY}/network-scripts");
    tree.create_dir_all(&directory)?;
    for (device, options) in devices {
        let options = options.as_object().into_iter().flatten();
        let lines = options.map(|(option, value)| {
            let (name, value) = (option.to_uppercase(), device_value(option, value));
            format!("{name}=\"{value}\"\n")
        });
        let text = lines.collect::<Vec<_>>().concat();
        if !text.is_empty() {
            tree.write(format!("{directory}/ifcfg-{device}"), text)?;
        }
    }
    Ok(())
}

fn device_value(option: &str, value: &Value) -> String {
    if WORDS.contains(&option) {
        python_str(value)
    } else {
        word(value)
    }
}

/// One line per option, in the order of the options.
fn lines(settings: &Settings, names: &[(&str, &str)]) -> Result<String> {
    let mut text = String::new();
    for (option, value) in settings {
        let name = names.iter().find(|(known, _)| known == option);
        let Some((_, name)) = name else {
            bail!("`{option}` is no option of this file");
        };
        text.push_str(&format!("{name}={}\n", word(value)));
    }
    Ok(text)
}

/// Switches are words in these files.
fn word(value: &Value) -> String {
    match value {
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        value => python_str(value),
    }
}

/// Writes a file of root's that everybody can read, whatever was there.
fn write_for_all(tree: &TreeRoot, name: &str, text: &str) -> Result<()> {
    let file = format!("{DIRECTORY}/{name}");
    tree.write(&file, text)?;
    tree.chown(&file, Some(0), Some(0))?;
    tree.chmod(&file, FILE_MODE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    fn files(ran: &osbuild_stage_api::testing::Ran) -> Vec<&str> {
        ran.tree.lines().filter(|line| line.contains('"')).collect()
    }

    #[test]
    fn each_section_is_a_file() {
        let options = json!({
            "kernel": {"default_kernel": "kernel-core", "update_default": true},
            "network": {"networking": true, "no_zero_conf": false},
            "network-scripts": {"ifcfg": {"eth0": {"device": "eth0", "onboot": true, "type": "Ethernet", "ipv6init": false},
                                          "eth1": {}}},
        });
        let ran = StageTest::new(&STAGE, options).run().success();
        assert_eq!(
            files(&ran),
            [
                "etc/sysconfig/kernel 0644 \"DEFAULTKERNEL=kernel-core\\nUPDATEDEFAULT=yes\\n\"",
                "etc/sysconfig/network 0644 \"NETWORKING=yes\\nNOZEROCONF=no\\n\"",
                "etc/sysconfig/network-scripts/ifcfg-eth0 0644 \"DEVICE=\\\"eth0\\\"\\nONBOOT=\\\"yes\\\"\\n\
                 TYPE=\\\"Ethernet\\\"\\nIPV6INIT=\\\"no\\\"\\n\"",
            ]
        );
    }

    #[test]
    fn desktops_are_named() {
        osbuild_testing::needs![root];
        let options = json!({"livesys": {"session": "kde"}, "desktop": {"preferred": "KDE", "displaymanager": "SDDM"}});
        let ran = StageTest::new(&STAGE, options).run().success();
        assert_eq!(
            files(&ran),
            [
                "etc/sysconfig/desktop 0644 \"PREFERRED=KDE\\nDISPLAYMANAGER=SDDM\\n\"",
                "etc/sysconfig/livesys 0644 \"livesys_session=\\\"kde\\\"\\n\"",
            ]
        );
    }
}
