//! Has Ignition run at the first boot.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.ignition",
    include_str!("ignition.meta.json"),
    run,
);

/// GRUB reads it if it is there, and tells the kernel about the first boot.
const FILE: &str = "ignition.firstboot";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    network: Vec<String>,
    #[serde(default = "usual_target")]
    target: String,
}

fn usual_target() -> String {
    "tree:///boot".to_owned()
}

fn run(context: &StageContext) -> Result<()> {
    let Options { network, target } = context.options()?;
    let location = context.resolve_location(&target)?;
    let text = match network[..] {
        [] => String::new(),
        _ => format!("set ignition_network_kcmdline='{}'", network.join(" ")),
    };
    location
        .tree_root()?
        .write(location.path().join(FILE), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn a_mount_is_written_to() {
        let test = StageTest::new(&STAGE, json!({"target": "mount://boot/"})).mount("boot");
        test.run().success();
        let file = test.mounts().join("boot/ignition.firstboot");
        assert_eq!(fs_err::read_to_string(file).unwrap(), "");
    }
}
