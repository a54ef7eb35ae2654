//! Makes files and directories at boot.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.tmpfilesd",
    include_str!("tmpfilesd.meta.json"),
    run,
);

const DIRECTORY: &str = "/usr/lib/tmpfiles.d";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    config: Vec<Line>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    r#type: String,
    path: String,
    #[serde(default)]
    mode: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    age: String,
    #[serde(default)]
    argument: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { filename, config } = context.options()?;
    let text: String = config.iter().map(line_text).collect();
    context
        .tree_path()?
        .write(format!("{DIRECTORY}/{filename}"), text)
}

/// Fields that are not given are dashes, as far as another one follows.
fn line_text(line: &Line) -> String {
    let optional = [
        &line.mode,
        &line.user,
        &line.group,
        &line.age,
        &line.argument,
    ];
    let given = optional
        .iter()
        .rposition(|field| !field.is_empty())
        .map_or(0, |last| last + 1);
    let fields = optional[..given].iter().map(|field| {
        if field.is_empty() {
            "-"
        } else {
            field.as_str()
        }
    });
    let fields: Vec<_> = [line.r#type.as_str(), &line.path]
        .into_iter()
        .chain(fields)
        .collect();
    format!("{}\n", fields.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn missing_fields_are_dashes_up_to_the_last_one_given() {
        let config = json!([
            {"type": "d", "path": "/run/a"},
            {"type": "d", "path": "/run/b", "mode": "0700"},
            {"type": "L+", "path": "/run/c", "argument": "/target"},
            {"type": "f", "path": "/run/d", "user": "anna", "age": "1d"},
        ]);
        let test = StageTest::new(&STAGE, json!({"filename": "x.conf", "config": config}))
            .directory("usr/lib/tmpfiles.d");
        test.run().success();
        assert_eq!(
            fs_err::read_to_string(test.path("usr/lib/tmpfiles.d/x.conf")).unwrap(),
            "d /run/a\nd /run/b 0700\nL+ /run/c - - - - /target\nf /run/d - anna - 1d\n"
        );
    }
}
