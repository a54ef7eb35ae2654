//! Configures the installation of bootc images.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::toml_text;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.bootc.install.config",
    include_str!("bootc_install_config.meta.json"),
    run,
);

const DIRECTORY: &str = "/usr/lib/bootc/install";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    /// The order of the settings is kept.
    config: Map<String, Value>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { filename, config } = context.options()?;
    let tree = context.tree_path()?;
    tree.create_dir_all(DIRECTORY)?;
    tree.write(format!("{DIRECTORY}/{filename}"), toml_text::text(&config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_file_is_toml() {
        let install = json!({"filesystem": {"root": {"type": "xfs"}}, "kargs": ["quiet"]});
        let options = json!({"filename": "20-fs.toml", "config": {"install": install}});
        let test = StageTest::new(&STAGE, options);
        test.run().success();
        assert_eq!(
            fs_err::read_to_string(test.path("usr/lib/bootc/install/20-fs.toml")).unwrap(),
            "[install]\nkargs = [\n    \"quiet\",\n]\n\n[install.filesystem.root]\ntype = \"xfs\"\n"
        );
    }
}
