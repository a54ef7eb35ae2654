//! Writes `/.buildstamp` for Anaconda.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

use crate::shared::build_time;
use crate::shared::ini::Ini;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.buildstamp",
    include_str!("buildstamp.meta.json"),
    run,
);

const FILE: &str = "/.buildstamp";

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Deserialize)]
struct Options {
    arch: String,
    product: String,
    version: String,
    #[serde(rename = "final")]
    is_final: bool,
    #[serde(default)]
    variant: String,
    #[serde(default)]
    bugurl: String,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let time = build_time::minute_stamp(build_time::now(context));
    let is_final = if options.is_final { "True" } else { "False" };
    let lines = [
        ("product", options.product),
        ("version", options.version),
        ("isfinal", is_final.to_owned()),
        ("uuid", format!("{time}.{}", options.arch)),
    ];
    let optional = [("bugurl", options.bugurl), ("variant", options.variant)];
    let optional = optional.into_iter().filter(|(_, value)| !value.is_empty());
    let mut ini = Ini::default();
    ini.spaced_section("Main", lines.into_iter().chain(optional));
    ini.spaced_section("Compose", [("osbuild", "devel".to_owned())]);
    context.tree_path()?.write(FILE, ini.into_text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_time_is_the_pipelines() {
        let options = json!({
            "arch": "x86_64", "product": "Example", "version": "9", "final": true, "variant": "Server",
            "bugurl": "https://bugs.example"
        });
        let test = StageTest::new(&STAGE, options).source_epoch(951_827_696);
        test.run().success();
        assert_eq!(
            fs_err::read_to_string(test.path(FILE)).unwrap(),
            "[Main]\nproduct = Example\nversion = 9\nisfinal = True\nuuid = 200002291234.x86_64\n\
             bugurl = https://bugs.example\nvariant = Server\n\n[Compose]\nosbuild = devel\n\n"
        );
    }

    #[test]
    fn what_is_empty_is_left_out() {
        let options =
            json!({"arch": "a", "product": "p", "version": "v", "final": false, "bugurl": ""});
        let test = StageTest::new(&STAGE, options).source_epoch(0);
        assert_eq!(
            test.run().success().tree,
            ".buildstamp 0644 \"[Main]\\nproduct = p\\nversion = v\\nisfinal = False\\n\
             uuid = 197001010000.a\\n\\n[Compose]\\nosbuild = devel\\n\\n\"\n"
        );
    }
}
