//! Writes `/etc/crypttab`.

use anyhow::{Result, bail};
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.crypttab",
    include_str!("crypttab.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    volumes: Vec<Volume>,
}

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Deserialize)]
struct Volume {
    #[serde(rename = "volume")]
    name: String,
    uuid: Option<String>,
    path: Option<String>,
    keyfile: Option<String>,
    #[serde(default)]
    options: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { volumes } = context.options()?;
    let lines = volumes.iter().map(line).collect::<Result<String>>()?;
    context.tree_path()?.write("/etc/crypttab", lines)
}

fn line(volume: &Volume) -> Result<String> {
    let given = |option: &Option<String>| option.clone().filter(|text| !text.is_empty());
    let device = match (given(&volume.uuid), given(&volume.path)) {
        (Some(uuid), _) => format!("UUID={uuid}"),
        (None, Some(path)) => path,
        (None, None) => bail!("Need 'uuid' or 'label'"),
    };
    let (name, options) = (&volume.name, &volume.options);
    let keyfile = volume.keyfile.as_deref().unwrap_or("none");
    Ok(format!("{name}\t{device}\t{keyfile}\t{options}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn each_volume_is_a_line() {
        let volumes = json!([
            {"volume": "luks-1", "uuid": "9c6ae55b-cf88-45b8-84e8-64990759f39d", "keyfile": "/k", "options": "discard"},
            {"volume": "swap", "path": "/dev/vda3"},
        ]);
        let test = StageTest::new(&STAGE, json!({"volumes": volumes})).file("etc/crypttab", "old");
        assert_eq!(
            test.run().success().tree,
            "etc/ 0755\netc/crypttab 0644 \"luks-1\\tUUID=9c6ae55b-cf88-45b8-84e8-64990759f39d\\t/k\\tdiscard\\n\
             swap\\t/dev/vda3\\tnone\\t\\n\"\n"
        );
    }

    #[test]
    fn a_volume_without_a_device_is_an_error() {
        let test = StageTest::new(&STAGE, json!({"volumes": [{"volume": "x"}]})).directory("etc");
        assert_eq!(test.run().error(), "ValueError: Need 'uuid' or 'label'");
    }
}
