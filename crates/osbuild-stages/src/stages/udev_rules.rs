//! Writes rules for udev.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::Value;

use crate::shared::ini::python_str;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.udev.rules",
    include_str!("udev_rules.meta.json"),
    run,
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    /// Lists of matches and assignments, and comments between them; the schema tells them apart.
    rules: Vec<Value>,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { filename, rules } = context.options()?;
    let lines: Vec<_> = rules.iter().flat_map(lines).collect();
    let end = if lines.is_empty() { "" } else { "\n" };
    context.tree_path()?.write(filename, lines.join("\n") + end)
}

fn lines(rule: &Value) -> Vec<String> {
    if let Some(items) = rule.as_array() {
        return vec![items.iter().map(item).collect::<Vec<_>>().join(", ")];
    }
    let comment = rule.get("comment").and_then(Value::as_array);
    let comment = comment.into_iter().flatten();
    comment
        .map(|line| format!("# {}", python_str(line)))
        .collect()
}

/// A match or an assignment, such as `ATTR{size}=="0"`.
fn item(item: &Value) -> String {
    let part = |name: &str| item.get(name).map(python_str).unwrap_or_default();
    let key = &item["key"];
    let key = match (key.get("name"), key.get("arg")) {
        (Some(name), Some(argument)) => format!("{}{{{}}}", python_str(name), python_str(argument)),
        (Some(name), None) => python_str(name),
        (None, _) => python_str(key),
    };
    format!(
        "{key}{}\"{}\"",
        part("op"),
        part("val").replace('"', "\\\"")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn rules_and_comments_are_written() {
        let rules = json!([
            {"comment": ["one", "two"]},
            [{"key": "SUBSYSTEM", "op": "==", "val": "block"},
             {"key": {"name": "ATTR", "arg": "size"}, "op": "!=", "val": "a\"b"},
             {"key": {"name": "TAG"}, "op": "+=", "val": "systemd"}],
        ]);
        let ran = StageTest::new(
            &STAGE,
            json!({"filename": "/etc/udev/rules.d/x.rules", "rules": rules}),
        )
        .directory("etc/udev/rules.d")
        .run()
        .success();
        assert_eq!(
            ran.tree.lines().last(),
            Some(
                "etc/udev/rules.d/x.rules 0644 \"# one\\n# two\\nSUBSYSTEM==\\\"block\\\", \
                 ATTR{size}!=\\\"a\\\\\\\"b\\\", TAG+=\\\"systemd\\\"\\n\""
            )
        );
    }
}
