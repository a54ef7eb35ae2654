//! Configures the session of a live system.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.livesys",
    include_str!("livesys.meta.json"),
    run,
);

const FILE: &str = "/etc/sysconfig/livesys";
const FILE_MODE: u32 = 0o644;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    livesys_session: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { livesys_session } = context.options()?;
    let tree = context.tree_path()?;
    tree.write(FILE, format!("\nlivesys_session=\"{livesys_session}\"\n"))?;
    // A stage runs as root, so this is root.
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    tree.chown(FILE, Some(user.as_raw()), Some(group.as_raw()))?;
    tree.chmod(FILE, FILE_MODE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_directory_must_be_there() {
        let ran = StageTest::new(&STAGE, json!({"livesys_session": "gnome"})).run();
        assert_eq!(ran.error().split(':').next(), Some("FileNotFoundError"));
    }
}
