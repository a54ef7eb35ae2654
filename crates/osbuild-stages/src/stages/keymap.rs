//! Sets the keyboard of the console and of X11.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::firstboot::{self, Setting};

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.keymap", include_str!("keymap.meta.json"), run);

const CONSOLE_FILE: &str = "/etc/vconsole.conf";
const X11_DIRECTORY: &str = "/etc/X11/xorg.conf.d";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    keymap: String,
    #[serde(default, rename = "x11-keymap")]
    x11_keymap: Option<X11Keymap>,
    #[serde(default)]
    font: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct X11Keymap {
    layouts: Vec<String>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    firstboot::replace(context, Setting::Keymap(&options.keymap))?;
    let tree = context.tree_path()?;
    if !options.font.is_empty() {
        tree.append(CONSOLE_FILE, format!("FONT={}\n", options.font))?;
    }
    if let Some(x11) = options.x11_keymap {
        tree.create_dir_all(X11_DIRECTORY)?;
        tree.write(
            format!("{X11_DIRECTORY}/00-keyboard.conf"),
            x11_text(&x11.layouts),
        )?;
    }
    Ok(())
}

fn x11_text(layouts: &[String]) -> String {
    format!(
        "# Created by osbuild. Do not edit manually, use localectl(1).\n\
         Section \"InputClass\"\n\
         \x20       Identifier \"system-keyboard\"\n\
         \x20       MatchIsKeyboard \"on\"\n\
         \x20       Option \"XkbLayout\" \"{}\"\n\
         EndSection\n",
        layouts.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    const FIRSTBOOT: &str = r#"echo "KEYMAP=${2#--keymap=}" >"${1#--root=}/etc/vconsole.conf""#;

    #[test]
    fn the_console_gets_a_keymap_and_a_font() {
        let test = StageTest::new(&STAGE, json!({"keymap": "de", "font": "eurlatgr"}))
            .file("etc/vconsole.conf", "KEYMAP=us\n")
            .program("systemd-firstboot", FIRSTBOOT);
        let ran = test.run().success();
        assert_eq!(
            ran.tree,
            "etc/ 0755\netc/vconsole.conf 0644 \"KEYMAP=de\\nFONT=eurlatgr\\n\"\n"
        );
        assert_eq!(
            ran.log,
            "/etc/vconsole.conf already exists. Replacing.\n$ systemd-firstboot --root=TREE --keymap=de\n"
        );
    }

    #[test]
    fn x11_gets_its_layouts() {
        let test = StageTest::new(
            &STAGE,
            json!({"keymap": "de", "x11-keymap": {"layouts": ["de", "us"]}}),
        )
        .directory("etc")
        .program("systemd-firstboot", FIRSTBOOT);
        test.run().success();
        assert_eq!(
            fs_err::read_to_string(test.path("etc/X11/xorg.conf.d/00-keyboard.conf")).unwrap(),
            r#"# Created by osbuild. Do not edit manually, use localectl(1).
Section "InputClass"
        Identifier "system-keyboard"
        MatchIsKeyboard "on"
        Option "XkbLayout" "de,us"
EndSection
"#
        );
    }
}
