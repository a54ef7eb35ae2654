//! Writes `/etc/fstab`.

use anyhow::Result;
use anyhow::bail;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::Number;

use crate::shared::ostree_deployment::{self, Deployment};

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.fstab", include_str!("fstab.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filesystems: Vec<Filesystem>,
    ostree: Option<Ostree>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ostree {
    deployment: Deployment,
}

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Deserialize)]
struct Filesystem {
    device: Option<String>,
    uuid: Option<String>,
    label: Option<String>,
    partlabel: Option<String>,
    path: String,
    vfs_type: Option<String>,
    options: Option<String>,
    freq: Option<Number>,
    passno: Option<Number>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let lines = options
        .filesystems
        .iter()
        .map(line)
        .collect::<Result<String>>()?;
    let file = match &options.ostree {
        None => "/etc/fstab".into(),
        Some(ostree) => {
            let root = ostree_deployment::directory(context, &ostree.deployment)?;
            context.log(format_args!(
                "ostree support active: {}{}",
                context.tree().display(),
                root.display()
            ));
            root.join("etc/fstab")
        }
    };
    context.tree_path()?.write(file, lines)
}

fn line(filesystem: &Filesystem) -> Result<String> {
    let Filesystem {
        device,
        uuid,
        label,
        partlabel,
        path,
        ..
    } = filesystem;
    let given = |option: &Option<String>| option.clone().filter(|text| !text.is_empty());
    let source = if let Some(uuid) = given(uuid) {
        format!("UUID={uuid}")
    } else if let Some(label) = given(label) {
        format!("LABEL={label}")
    } else if let Some(partlabel) = given(partlabel) {
        format!("PARTLABEL={partlabel}")
    } else if let Some(device) = given(device) {
        device
    } else {
        bail!("Need 'uuid' or 'label'");
    };
    let vfs_type = filesystem.vfs_type.as_deref().unwrap_or("none");
    let options = filesystem.options.as_deref().unwrap_or("defaults");
    let number =
        |number: &Option<Number>| number.as_ref().map_or("0".to_owned(), Number::to_string);
    let (freq, passno) = (number(&filesystem.freq), number(&filesystem.passno));
    Ok(format!(
        "{source}\t{path}\t{vfs_type}\t{options}\t{freq}\t{passno}\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn each_file_system_is_a_line() {
        let options = json!({"filesystems": [
            {"uuid": "0194fdc2-fa2f-4cc0-81d3-ff12045b73c8", "path": "/", "vfs_type": "ext4",
             "options": "errors=remount-ro", "freq": 1, "passno": 1},
            {"label": "ESP", "path": "/boot/efi", "vfs_type": "vfat"},
            {"partlabel": "data", "path": "/srv", "passno": 2},
            {"device": "tmpfs", "path": "/tmp", "vfs_type": "tmpfs", "unknown": true},
        ]});
        let test = StageTest::new(&STAGE, options).file("etc/fstab", "# old\n");
        assert_eq!(
            test.run().success().tree,
            "etc/ 0755\netc/fstab 0644 \"\
             UUID=0194fdc2-fa2f-4cc0-81d3-ff12045b73c8\\t/\\text4\\terrors=remount-ro\\t1\\t1\\n\
             LABEL=ESP\\t/boot/efi\\tvfat\\tdefaults\\t0\\t0\\n\
             PARTLABEL=data\\t/srv\\tnone\\tdefaults\\t0\\t2\\n\
             tmpfs\\t/tmp\\ttmpfs\\tdefaults\\t0\\t0\\n\"\n"
        );
    }

    #[test]
    fn a_nameless_file_system_is_an_error_and_the_file_is_kept() {
        let test = StageTest::new(&STAGE, json!({"filesystems": [{"uuid": "", "path": "/"}]}))
            .file("etc/fstab", "old");
        let ran = test.run();
        assert_eq!(ran.error(), "ValueError: Need 'uuid' or 'label'");
        assert_eq!(ran.tree, "etc/ 0755\netc/fstab 0644 \"old\"\n");
    }

    #[test]
    fn the_file_of_a_deployment_is_found() {
        let filesystems = json!([{"label": "root", "path": "/"}]);
        let line = "LABEL=root\t/\tnone\tdefaults\t0\t0\n";
        let file = "ostree/deploy/os/deploy/abc.0/etc/fstab";
        let by_ref = json!({"osname": "os", "ref": "os/stable"});
        for deployment in [by_ref, json!({"default": true})] {
            let test = StageTest::new(
                &STAGE,
                json!({"filesystems": filesystems, "ostree": {"deployment": deployment}}),
            )
            .directory("ostree/repo")
            .file(file, "")
            .program(
                "ostree",
                "test \"$1 $2\" = 'rev-parse os/stable' && echo abc",
            );
            test.run().success();
            assert_eq!(fs_err::read_to_string(test.path(file)).unwrap(), line);
        }
    }

    #[test]
    fn a_default_deployment_must_be_the_only_one() {
        let options = json!({"filesystems": [], "ostree": {"deployment": {"default": true}}});
        let test = StageTest::new(&STAGE, options.clone());
        assert_eq!(test.run().error(), "ValueError: Could not find deployment");
        let test = StageTest::new(&STAGE, options)
            .directory("ostree/deploy/os/deploy/abc.0")
            .directory("ostree/deploy/os/deploy/def.0");
        assert_eq!(
            test.run().error(),
            "ValueError: More than one deployment found: \
             [\"/ostree/deploy/os/deploy/abc.0\", \"/ostree/deploy/os/deploy/def.0\"]"
        );
    }
}
