//! Adds a connection to `NetworkManager`.

use anyhow::Result;
use std::path::{Path, PathBuf};

use osbuild_stage_api::{StageContext, StageError, StageModule};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::ini::{Ini, network_manager_str};
use crate::shared::secret_file;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.nm.conn",
    include_str!("nm_conn.meta.json"),
    run,
);

const DIRECTORY: &str = "/usr/lib/NetworkManager/system-connections";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    settings: Map<String, Value>,
    path: Option<PathBuf>,
    filename: Option<PathBuf>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options {
        settings,
        path,
        filename,
    } = context.options()?;
    let path = match (path, filename) {
        (Some(path), _) if !path.as_os_str().is_empty() => path,
        (_, Some(filename)) => Path::new(DIRECTORY).join(filename),
        (_, None) => return Err(StageError::new("KeyError", "'filename'").into()),
    };
    let mut ini = Ini::default();
    for (name, lines) in &settings {
        let lines = lines.as_object().into_iter().flatten();
        ini.section(
            name,
            lines.map(|(option, value)| (option.as_str(), network_manager_str(value))),
        );
    }
    secret_file::write(context, &path, &ini.into_text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    const TEXT: &str = "[connection]\nid=eth0\ntype=ethernet\nautoconnect=true\nautoconnect-priority=5\n\n\
                        [ipv4]\nmethod=manual\naddress=192.0.2.2/24,192.0.2.3/24\n\n";

    fn settings() -> Value {
        json!({
            "connection": {"id": "eth0", "type": "ethernet", "autoconnect": true, "autoconnect-priority": 5},
            "ipv4": {"method": "manual", "address": ["192.0.2.2/24", "192.0.2.3/24"]},
        })
    }

    #[test]
    fn a_connection_goes_to_its_place() {
        for (place, file) in [
            (
                ("filename", "eth0.nmconnection"),
                "usr/lib/NetworkManager/system-connections/eth0.nmconnection",
            ),
            (("path", "/etc/x.nmconnection"), "etc/x.nmconnection"),
        ] {
            let test = StageTest::new(&STAGE, json!({"settings": settings(), place.0: place.1}));
            let ran = test.run().success();
            assert_eq!(
                ran.tree.lines().last(),
                Some(format!("{file} 0600 {TEXT:?}").as_str())
            );
        }
    }

    #[test]
    fn an_existing_file_is_closed_to_others() {
        let test = StageTest::new(&STAGE, json!({"settings": settings(), "path": "/a"}))
            .file("a", "open to all");
        assert_eq!(test.run().success().tree, format!("a 0600 {TEXT:?}\n"));
    }
}
