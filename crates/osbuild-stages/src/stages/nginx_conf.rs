//! Configures nginx for static files.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.nginx.conf",
    include_str!("nginx_conf.meta.json"),
    run,
);

/// Where it is unless another file is asked for.
const FILE: &str = "/etc/nginx/nginx.conf";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    path: Option<String>,
    #[serde(default)]
    config: Config,
}

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Default, Deserialize)]
struct Config {
    listen: Option<String>,
    root: Option<String>,
    pid: Option<String>,
    daemon: Option<bool>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { path, config } = context.options()?;
    let listen = config.listen.as_deref().unwrap_or("*:80");
    let root = config.root.as_deref().unwrap_or("/usr/share/nginx/html");
    let pid = config.pid.as_deref().unwrap_or("/run/nginx.pid");
    let daemon = if config.daemon.unwrap_or(true) {
        "on"
    } else {
        "off"
    };
    let text = format!(
        "events {{}}\nhttp {{\n  server {{\n    listen {listen};\n    root {root};\n  }}\n}}\n\n\
         pid {pid};\ndaemon {daemon};\n"
    );
    context
        .tree_path()?
        .write(path.as_deref().unwrap_or(FILE), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_server_is_described() {
        let options = json!({"path": "/x", "config": {"listen": "8080", "daemon": false}});
        let ran = StageTest::new(&STAGE, options).run().success();
        assert_eq!(
            ran.tree,
            "x 0644 \"events {}\\nhttp {\\n  server {\\n    listen 8080;\\n    root /usr/share/nginx/html;\\n  }\\n}\\n\\n\
             pid /run/nginx.pid;\\ndaemon off;\\n\"\n"
        );
    }
}
