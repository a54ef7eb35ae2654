//! Configures name resolution.

use anyhow::Result;
use std::fmt::Write;

use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.resolv-conf",
    include_str!("resolv_conf.meta.json"),
    run,
);

const FILE: &str = "/etc/resolv.conf";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    nameserver: Vec<String>,
    #[serde(default)]
    search: Vec<String>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { nameserver, search } = context.options()?;
    let tree = context.tree_path()?;
    if tree.remove_file(FILE)? {
        context.log(format_args!("Replacing existing file: {FILE}"));
    }
    let mut text = "# This file was created by osbuild\n".to_owned();
    if !search.is_empty() {
        writeln!(text, "search {}", search.join(" "))?;
    }
    for address in nameserver {
        writeln!(text, "nameserver {address}")?;
    }
    tree.create_dir_all("/etc")?;
    tree.write(FILE, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn a_link_that_is_there_is_replaced() {
        let options = json!({"nameserver": ["192.0.2.1", "2001:db8::1"], "search": ["a.example", "b.example"]});
        let ran = StageTest::new(&STAGE, options)
            .symlink("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf")
            .run()
            .success();
        assert_eq!(
            ran.tree,
            "etc/ 0755\netc/resolv.conf 0644 \"# This file was created by osbuild\\n\
             search a.example b.example\\nnameserver 192.0.2.1\\nnameserver 2001:db8::1\\n\"\n"
        );
        assert_eq!(ran.log, "Replacing existing file: /etc/resolv.conf\n");
    }

    #[test]
    fn without_options_the_file_is_empty_but_for_its_origin() {
        let ran = StageTest::new(&STAGE, json!({})).run().success();
        assert_eq!(
            ran.tree,
            "etc/ 0755\netc/resolv.conf 0644 \"# This file was created by osbuild\\n\"\n"
        );
        assert_eq!(ran.log, "");
    }
}
